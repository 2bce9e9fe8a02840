// WaitGraph: which task waits for which, and whether one more wait would close a circle.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/lock/detail/lock_hold.hpp"
#include "lukhas/lock/detail/lock_request.hpp"

namespace lukhas::detail {

// A scope that holds or waits for something.
struct ScopeNode : KeyHook {
  ScopeNode(std::shared_ptr<const ScopeIdentity> whose, std::uint64_t hash)
      : KeyHook(hash), scope(std::move(whose)), identity(scope.get()) {}

  // The scope's address, byte by byte: it only tells one scope from another.
  [[nodiscard]] std::string_view key() const noexcept { return keyOf(identity); }
  [[nodiscard]] static std::string_view keyOf(const ScopeIdentity* const& identity) noexcept {
    return asText(std::as_bytes(std::span(&identity, 1)));
  }

  const std::shared_ptr<const ScopeIdentity> scope;
  const ScopeIdentity* const identity;
  LockHold* holds = nullptr;
  LockRequest* requests = nullptr;  // that wait
  std::uint64_t searched = 0;
};

// One task of a circle, the last of which is waited for by the first.
struct WaitStep {
  std::string task;    // this one
  std::string key;     // waits for this
  std::string holder;  // which this one, the next task, holds or is in line for
};

// The waits of tasks for one another, as far as scopes are known (Holt, "Some deadlock properties of computer
// systems", 1972). There is an edge from a request to
//
//   each hold of its key, if the two cannot stand together;
//   each request before it in the queue of its key, for nobody is overtaken; a shared request goes past
//   shared ones, since they are granted together.
//
// An edge to a scope's hold or request is one to the scope, and goes on along all that the scope waits for.
// An edge to a request without a scope goes on along that request; a hold without one is a dead end.
//
// A circle can only close when a request begins to wait: granting, releasing and giving up take edges away,
// and nobody waits for a key that is free. So only enqueueing searches, only on behalf of a scope that
// somebody can be waiting for, and nothing at all is done for requests without a scope. A search expands each
// request at most once, breadth first; the circle that it names is one of those there are, and a short one,
// though where a queue is in it, not always the shortest.
class WaitGraph {
 public:
  explicit WaitGraph(std::uint64_t hashSeed) noexcept : seed_(hashSeed) {}
  WaitGraph(const WaitGraph&) = delete;
  WaitGraph& operator=(const WaitGraph&) = delete;
  ~WaitGraph() {
    scopes_.forEach([](ScopeNode& node) { delete &node; });
  }

  // Before beginHold() and beginWait(), so that they need no memory. Throws std::bad_alloc, and then nothing
  // has changed.
  void enter(LockHold& hold) {
    if (!hold.scope) return;
    const ScopeIdentity* const identity = hold.scope.get();
    const std::uint64_t hash = hash64(asBytes(ScopeNode::keyOf(identity)), seed_);
    hold.scopeNode = scopes_.find(ScopeNode::keyOf(identity), hash);
    if (hold.scopeNode) return;
    scopes_.reserve(scopes_.size() + 1);
    auto node = std::make_unique<ScopeNode>(hold.scope, hash);
    scopes_.insert(*node);
    hold.scopeNode = node.release();
  }
  void beginHold(LockHold& hold) noexcept {
    if (hold.scopeNode) link(hold.scopeNode->holds, hold);
  }
  void endHold(LockHold& hold) noexcept {
    if (hold.scopeNode) unlink(hold.scopeNode->holds, hold);
    leave(hold);
  }
  void beginWait(LockRequest& request) noexcept {
    if (ScopeNode* const node = request.hold->scopeNode) link(node->requests, request);
  }
  // The request goes on to hold, or its hold is to leave().
  void endWait(LockRequest& request) noexcept {
    if (ScopeNode* const node = request.hold->scopeNode) unlink(node->requests, request);
  }
  // Forgets the scope when this was the last that it held or waited for.
  void leave(LockHold& hold) noexcept {
    ScopeNode* const node = std::exchange(hold.scopeNode, nullptr);
    if (!node || node->holds || node->requests) return;
    scopes_.erase(*node);
    delete node;
  }

  // The circle that this request, which waits already, closes; empty when there is none. `leaderOf(hold)` is
  // the leading hold of its key. Throws std::bad_alloc.
  template <class LeaderOf>
  [[nodiscard]] std::vector<WaitStep> findCircle(LockRequest& origin, LeaderOf&& leaderOf) {
    ScopeNode* const self = origin.hold->scopeNode;
    if (!self || !isWaitedFor(*self, leaderOf)) return {};
    ++search_;
    Frontier frontier;
    reach(origin, nullptr, frontier);
    while (LockRequest* const request = frontier.pop()) {
      const bool closed = anyBlocker(*request, leaderOf, [&](ScopeNode* scope, LockRequest* anonymous) {
        if (scope == self) return true;
        if (!scope) {
          if (anonymous) reach(*anonymous, request, frontier);
        } else if (std::exchange(scope->searched, search_) != search_) {
          for (LockRequest* r = scope->requests; r; r = r->nextOfScope) reach(*r, request, frontier);
        }
        return false;
      });
      if (closed) return circleTo(*request, origin);
    }
    return {};
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const {
    bool good = scopes_.checkInvariants();
    scopes_.forEach([&](const ScopeNode& node) {
      good = good && (node.holds || node.requests);
      for (const LockRequest* r = node.requests; r; r = r->nextOfScope) {
        good = good && r->hold->scopeNode == &node && r->outcome == LockOutcome::waiting;
      }
    });
    return good;
  }

 private:
  class Frontier {
   public:
    void push(LockRequest& request) noexcept {
      request.nextToSearch = nullptr;
      (first_ ? last_->nextToSearch : first_) = &request;
      last_ = &request;
    }
    LockRequest* pop() noexcept { return first_ ? std::exchange(first_, first_->nextToSearch) : nullptr; }

   private:
    LockRequest* first_ = nullptr;
    LockRequest* last_ = nullptr;
  };

  // Whether somebody can be waiting for the scope, not counting what waits behind its newest request: nobody
  // does yet. O(its holds).
  template <class LeaderOf>
  [[nodiscard]] static bool isWaitedFor(const ScopeNode& scope, LeaderOf& leaderOf) {
    if (scope.requests->nextOfScope) return true;
    for (const LockHold* hold = scope.holds; hold; hold = hold->nextOfScope) {
      if (!leaderOf(*hold).waiters.empty()) return true;
    }
    return false;
  }

  template <class Node>
  static void link(Node*& first, Node& node) noexcept {
    node.nextOfScope = std::exchange(first, &node);
    if (node.nextOfScope) node.nextOfScope->previousOfScope = &node;
  }
  template <class Node>
  static void unlink(Node*& first, Node& node) noexcept {
    (node.previousOfScope ? node.previousOfScope->nextOfScope : first) = node.nextOfScope;
    if (node.nextOfScope) node.nextOfScope->previousOfScope = node.previousOfScope;
    node.previousOfScope = node.nextOfScope = nullptr;
  }

  void reach(LockRequest& request, LockRequest* from, Frontier& frontier) noexcept {
    if (std::exchange(request.searched, search_) == search_) return;
    request.reachedFrom = from;
    frontier.push(request);
  }

  // Calls visit(scope or null, request without scope or null) until it says true. From an exclusive request
  // the shared ones right before it, and the exclusive one before those; what is before that is reached from
  // there. From a shared request only the latter, and that is found by the next shared one before it, if that
  // was reached as well. With no exclusive one before it, the holds of the key.
  template <class LeaderOf, class Visit>
  bool anyBlocker(const LockRequest& request, LeaderOf& leaderOf, Visit&& visit) const {
    const bool exclusive = request.hold->mode == LockMode::exclusive;
    for (LockRequest* before = request.previous; before; before = before->previous) {
      if (before->hold->mode == LockMode::exclusive) return visit(before->hold->scopeNode, before);
      if (exclusive) {
        if (visit(before->hold->scopeNode, before)) return true;
      } else if (before->searched == search_) {
        return false;
      }
    }
    const LockHold& leader = leaderOf(*request.hold);
    const LockHold* holder = &leader;
    do {
      if (visit(holder->scopeNode, nullptr)) return true;
      holder = holder->nextHolder;
    } while (holder != &leader);
    return false;
  }

  [[nodiscard]] static std::vector<WaitStep> circleTo(const LockRequest& last, const LockRequest& origin) {
    std::vector<WaitStep> circle;
    std::string_view holder = origin.hold->task();
    for (const LockRequest* request = &last; request; request = request->reachedFrom) {
      const LockHold& hold = *request->hold;
      circle.push_back({std::string(hold.task()), std::string(hold.key()), std::string(holder)});
      holder = hold.task();
    }
    std::reverse(circle.begin(), circle.end());
    return circle;
  }

  KeyTable<ScopeNode> scopes_;
  std::uint64_t seed_;
  std::uint64_t search_ = 0;  // the number of the present one: a node with it was reached already
};

}  // namespace lukhas::detail
