// What an AsyncLock should do, with plain lists that are looked through from the beginning.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "lukhas/lock/lock_holder.hpp"

namespace lock_model {

enum class Fate { waiting, holding, stale, released, timed_out, cancelled, overloaded, closed };

struct Request {
  std::vector<int> keys;  // to be had one after the other
  lukhas::LockMode mode{};
  int deadline = 0;
  bool noWait = false;  // a time-out of zero
  Fate fate = Fate::waiting;
  std::size_t had = 0;    // of the keys: granted so far
  bool onItsWay = false;  // one more was granted since the coroutine ran last
};

// Requests are numbered in the order in which they were made. Time is in milliseconds. Whatever ends a hold
// only marks who is next; settle() then lets those go on who still have keys to take.
class Model {
 public:
  Model(int keyCount, std::size_t maxWaiters, int heldWarning)
      : lines_(static_cast<std::size_t>(keyCount)), maxWaiters_(maxWaiters), heldWarning_(heldWarning) {}

  std::size_t acquire(std::vector<int> keys, lukhas::LockMode mode, int timeout) {
    requests.push_back({std::move(keys), mode, now_ + timeout, timeout == 0, Fate::waiting, 0, false});
    goOn(requests.size() - 1);
    settle();
    return requests.size() - 1;
  }
  bool tryAcquire(int key, lukhas::LockMode mode) {
    if (!admits(key, mode)) return false;
    acquire({key}, mode, 0);
    return true;
  }
  void release(std::size_t index, Fate fate = Fate::released) {
    Request& request = requests[index];
    if (request.fate != Fate::holding && request.fate != Fate::stale) return;
    request.fate = fate;
    giveBack(index);
    settle();
  }
  void downgrade(std::size_t index) {
    Request& request = requests[index];
    if (request.fate != Fate::holding) return;
    request.mode = lukhas::LockMode::shared;
    admitFront(request.keys.front());
    settle();
  }
  void cancel(std::size_t index) {
    if (requests[index].fate != Fate::waiting) return;
    end(index, Fate::cancelled);
    settle();
  }
  // False when it was free.
  bool forceRelease(int key) {
    Line& line = lineOf(key);
    if (line.holders.empty()) return false;
    for (const auto& [index, hold] : line.holders) {
      Request& request = requests[index];
      lost_.insert({index, key});
      if (request.fate == Fate::holding) request.fate = Fate::stale;
    }
    line.holders.clear();
    admitFront(key);
    settle();
    return true;
  }
  void passTime(int ms) {
    for (; ms > 0; --ms) {
      ++now_;
      const std::vector<std::size_t> due = expire();
      warn();
      for (const std::size_t index : due) giveBack(index);  // as their coroutines go on
      settle();
    }
  }
  void close() {
    for (Line& line : lines_) {
      for (const std::size_t index : line.queue) requests[index].fate = Fate::closed;
      for (const auto& [index, hold] : line.holders) {
        if (requests[index].fate == Fate::holding) requests[index].fate = Fate::stale;
      }
      line = Line();
    }
  }

  [[nodiscard]] std::size_t waiters(int key) const { return lineOf(key).queue.size(); }
  [[nodiscard]] std::size_t holders(int key) const { return lineOf(key).holders.size(); }
  [[nodiscard]] std::size_t waiting() const {
    std::size_t count = 0;
    for (const Line& line : lines_) count += line.queue.size();
    return count;
  }
  [[nodiscard]] std::size_t heldKeys() const {
    return static_cast<std::size_t>(
        std::count_if(lines_.begin(), lines_.end(), [](const Line& line) { return !line.holders.empty(); }));
  }
  // Whether a request for several keys is under way: how two of them interleave is not the model's to say.
  [[nodiscard]] bool severalUnderWay() const {
    return std::any_of(requests.begin() + static_cast<std::ptrdiff_t>(firstOpen_), requests.end(),
                       [](const Request& r) { return r.keys.size() > 1 && r.fate == Fate::waiting; });
  }

  std::deque<Request> requests;
  std::uint64_t grants = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t warnings = 0;

 private:
  struct Hold {
    int since = 0;
    bool warned = false;
  };
  struct Line {
    std::map<std::size_t, Hold> holders;
    std::deque<std::size_t> queue;
  };
  Line& lineOf(int key) { return lines_[static_cast<std::size_t>(key)]; }
  [[nodiscard]] const Line& lineOf(int key) const { return lines_[static_cast<std::size_t>(key)]; }

  [[nodiscard]] bool standsBeside(int key, lukhas::LockMode mode) const {
    const auto& holders = lineOf(key).holders;
    if (holders.empty()) return true;
    return mode == lukhas::LockMode::shared &&
           requests[holders.begin()->first].mode == lukhas::LockMode::shared;
  }
  [[nodiscard]] bool admits(int key, lukhas::LockMode mode) const {
    return lineOf(key).queue.empty() && standsBeside(key, mode);
  }
  void hold(std::size_t index, int key) {
    lineOf(key).holders[index] = {now_, false};
    ++requests[index].had;
    ++grants;
  }
  // Takes what it can, until it has to wait or has all.
  void goOn(std::size_t index) {
    Request& request = requests[index];
    while (request.fate == Fate::waiting && request.had < request.keys.size()) {
      const int key = request.keys[request.had];
      if (admits(key, request.mode)) {
        hold(index, key);
      } else if (request.noWait) {
        ++timeouts;
        end(index, Fate::timed_out);
      } else if (waiting() >= maxWaiters_) {
        end(index, Fate::overloaded);
      } else {
        lineOf(key).queue.push_back(index);
        arrivals_.push_back(index);
        return;
      }
    }
    if (request.fate != Fate::waiting) return;
    const bool lostOne = std::any_of(request.keys.begin(), request.keys.end(), [&](int key) {
      return lost_.contains({index, key});
    });
    request.fate = lostOne ? Fate::stale : Fate::holding;
  }
  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t i = firstOpen_; i < requests.size(); ++i) {
        if (!std::exchange(requests[i].onItsWay, false)) continue;
        moved = true;
        goOn(i);
      }
    }
    while (firstOpen_ < requests.size() && requests[firstOpen_].fate != Fate::waiting) ++firstOpen_;
  }
  void admitFront(int key) {
    Line& line = lineOf(key);
    while (!line.queue.empty() && standsBeside(key, requests[line.queue.front()].mode)) {
      const std::size_t index = line.queue.front();
      line.queue.pop_front();
      std::erase(arrivals_, index);
      hold(index, key);
      requests[index].onItsWay = true;
    }
  }
  void giveBack(std::size_t index) {
    const Request& request = requests[index];
    for (std::size_t i = request.had; i-- > 0;) {
      if (lineOf(request.keys[i]).holders.erase(index) > 0) admitFront(request.keys[i]);
    }
  }
  // Of a request that waits, or was about to.
  void end(std::size_t index, Fate fate) {
    leaveLine(index);
    requests[index].fate = fate;
    giveBack(index);
  }
  void leaveLine(std::size_t index) {
    const Request& request = requests[index];
    std::erase(arrivals_, index);
    if (request.had == request.keys.size()) return;
    const int key = request.keys[request.had];
    std::erase(lineOf(key).queue, index);
    admitFront(key);
  }
  // All that are due leave their lines, the first to have come first; returns them.
  std::vector<std::size_t> expire() {
    std::vector<std::size_t> due;
    for (const std::size_t index : std::vector<std::size_t>(arrivals_)) {
      const bool waitsStill = std::find(arrivals_.begin(), arrivals_.end(), index) != arrivals_.end();
      if (!waitsStill || requests[index].deadline > now_) continue;
      leaveLine(index);
      ++timeouts;
      requests[index].fate = Fate::timed_out;
      due.push_back(index);
    }
    return due;
  }
  void warn() {
    for (Line& line : lines_) {
      for (auto& [index, hold] : line.holders) {
        if (now_ - hold.since < heldWarning_ || std::exchange(hold.warned, true)) continue;
        ++warnings;
      }
    }
  }

  std::vector<Line> lines_;
  std::size_t maxWaiters_;
  int heldWarning_;
  int now_ = 0;
  std::size_t firstOpen_ = 0;                   // all before it are decided
  std::vector<std::size_t> arrivals_;           // that wait, in the order in which they came into their lines
  std::set<std::pair<std::size_t, int>> lost_;  // request and key: forced free
};

}  // namespace lock_model
