// LoadTrace: how a coroutine knows in which loaders it runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/execution.hpp>
#include <asio/strand.hpp>

#include "lukhas/store/detail/load_board.hpp"

namespace lukhas::detail {

// One run of a loader, inside of others. Immutable but for `running`; it outlives the run when the loader
// leaves coroutines of its own behind, for which it then means nothing any more.
struct LoadTrace {
  LoadTrace(const void* ofStore, std::shared_ptr<Load> ofLoad,
            std::shared_ptr<const LoadTrace> inside) noexcept
      : store(ofStore), load(std::move(ofLoad)), outer(std::move(inside)) {}

  const void* store;
  std::shared_ptr<Load> load;
  std::shared_ptr<const LoadTrace> outer;
  mutable std::atomic<bool> running = true;

  // Ends the run.
  class Run {
   public:
    explicit Run(std::shared_ptr<const LoadTrace> trace) noexcept : trace_(std::move(trace)) {}
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() { trace_->running.store(false, std::memory_order_relaxed); }

   private:
    std::shared_ptr<const LoadTrace> trace_;
  };
};

// The executor on which a loader runs: that of its caller, with the trace. A coroutine hands its executor on
// to all that it awaits and spawns, so whoever asks the store from inside a loader carries the trace without
// knowing it.
class LoadExecutor {
 public:
  LoadExecutor(asio::any_io_executor inner, std::shared_ptr<const LoadTrace> trace) noexcept
      : inner_(std::move(inner)), trace_(std::move(trace)) {}

  [[nodiscard]] const std::shared_ptr<const LoadTrace>& trace() const noexcept { return trace_; }

  template <class Function>
  void execute(Function&& function) const {
    inner_.execute(std::forward<Function>(function));
  }
  template <class Property>
  requires asio::can_query_v<const asio::any_io_executor&, Property>
  [[nodiscard]] decltype(auto) query(const Property& property) const { return asio::query(inner_, property); }
  template <class Property>
  requires asio::can_require_v<const asio::any_io_executor&, Property>
  [[nodiscard]] LoadExecutor require(const Property& property) const {
    return {asio::require(inner_, property), trace_};
  }
  template <class Property>
  requires(!asio::can_require_v<const asio::any_io_executor&, Property> &&
           asio::can_prefer_v<const asio::any_io_executor&, Property>) [[nodiscard]] LoadExecutor
      prefer(const Property& property) const {
    return {asio::prefer(inner_, property), trace_};
  }

  friend bool operator==(const LoadExecutor& a, const LoadExecutor& b) noexcept {
    return a.trace_ == b.trace_ && a.inner_ == b.inner_;
  }
  friend bool operator!=(const LoadExecutor& a, const LoadExecutor& b) noexcept { return !(a == b); }

 private:
  asio::any_io_executor inner_;
  std::shared_ptr<const LoadTrace> trace_;
};

// The innermost loader in which a coroutine on this executor runs; null for most. Asks for the type first:
// Asio's target() does not.
[[nodiscard]] inline std::shared_ptr<const LoadTrace> traceOf(const asio::any_io_executor& executor) {
  using Strand = asio::strand<asio::any_io_executor>;
  if (executor.target_type() == typeid(LoadExecutor)) {
    const std::shared_ptr<const LoadTrace>& trace = executor.target<LoadExecutor>()->trace();
    return trace->running.load(std::memory_order_relaxed) ? trace : nullptr;
  }
  if (executor.target_type() != typeid(Strand)) return nullptr;
  return traceOf(executor.target<Strand>()->get_inner_executor());
}

// Which load's loader is inside of a getOrCompute for which other load: if following that leads in a circle,
// all in it would wait for each other. Only loaders that ask for other keys come here. Thread-safe.
class LoadGraph {
 public:
  // The keys from `target` to `inner` when `inner` may not be inside of it; empty when it is from now on.
  [[nodiscard]] std::vector<std::string> enter(Load& inner, Load& target) {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> path;
    ++round_;
    if (!findPath(target, inner, path)) inner.inside.push_back(&target);
    return path;
  }
  void leave(Load& inner, const Load& target) noexcept {
    const std::lock_guard lock(mutex_);
    for (Load*& entered : inner.inside) {
      if (entered != &target) continue;
      entered = inner.inside.back();
      inner.inside.pop_back();
      return;
    }
  }

 private:
  // As deep as loaders lie in each other.
  bool findPath(Load& from, const Load& to, std::vector<std::string>& path) {
    if (from.round == round_) return false;
    from.round = round_;
    path.push_back(from.key);
    if (&from == &to) return true;
    for (Load* const next : from.inside) {
      if (findPath(*next, to, path)) return true;
    }
    path.pop_back();
    return false;
  }

  std::mutex mutex_;
  std::uint64_t round_ = 0;
};

// A loader's stay inside of a getOrCompute. Keeps both loads.
class LoadStay {
 public:
  LoadStay() = default;
  LoadStay(LoadGraph& graph, std::shared_ptr<Load> inner, std::shared_ptr<Load> target) noexcept
      : graph_(&graph), inner_(std::move(inner)), target_(std::move(target)) {}
  LoadStay(LoadStay&& other) noexcept
      : graph_(std::exchange(other.graph_, nullptr)),
        inner_(std::move(other.inner_)),
        target_(std::move(other.target_)) {}
  LoadStay& operator=(LoadStay&&) = delete;
  ~LoadStay() {
    if (graph_) graph_->leave(*inner_, *target_);
  }

 private:
  LoadGraph* graph_ = nullptr;  // of the store's state, which outlives its callers
  std::shared_ptr<Load> inner_;
  std::shared_ptr<Load> target_;
};

}  // namespace lukhas::detail
