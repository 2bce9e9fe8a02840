// LaneJobs: the jobs that wait for a lane, in order, each of which can be taken back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "lukhas/core/error.hpp"
#include "lukhas/core/unique_function.hpp"

namespace lukhas {

// A lane that is stuck (a disk that hangs) must not gather what its callers have long given up: a job is
// dropped when its caller goes, and there is a bound for those whose callers stay. Jobs are destroyed outside
// the mutex, for that answers their callers. Any thread may call.
class LaneJobs {
 public:
  using Job = UniqueFunction<void()>;

  // A waiting job costs its caller's coroutine and what it is to write: about 1 KiB and that.
  static constexpr std::size_t maxJobs = 100'000;

  // Throws Errc::overloaded when maxJobs wait already.
  [[nodiscard]] std::uint64_t add(Job job) {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= maxJobs) {
      throw Error(Errc::overloaded,
                  fmt::format("{} jobs wait for the lane already, which is the maximum", maxJobs),
                  {{"maximum", maxJobs}});
    }
    jobs_.emplace_hint(jobs_.end(), ++lastNumber_, std::move(job));
    return lastNumber_;
  }
  // An empty one when none waits.
  [[nodiscard]] Job takeFirst() noexcept {
    const std::lock_guard lock(mutex_);
    if (jobs_.empty()) return {};
    Job first = std::move(jobs_.begin()->second);
    jobs_.erase(jobs_.begin());
    return first;
  }
  // No effect when it has begun.
  void drop(std::uint64_t number) noexcept {
    Jobs::node_type dropped;
    const std::lock_guard lock(mutex_);
    dropped = jobs_.extract(number);
  }
  void dropAll() noexcept {
    Jobs dropped;
    const std::lock_guard lock(mutex_);
    dropped.swap(jobs_);
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
  }

 private:
  using Jobs = std::map<std::uint64_t, Job>;

  mutable std::mutex mutex_;
  Jobs jobs_;  // by number, which is the order in which they came
  std::uint64_t lastNumber_ = 0;
};

// A job's place in a lane. Destroying it drops the job, unless that has begun. It may outlive the lane.
class LanePlace {
 public:
  LanePlace() = default;
  LanePlace(const std::shared_ptr<LaneJobs>& jobs, std::uint64_t number) noexcept
      : jobs_(jobs), number_(number) {}
  LanePlace(LanePlace&&) noexcept = default;
  LanePlace& operator=(LanePlace&& other) noexcept {
    if (this != &other) {
      drop();
      jobs_ = std::move(other.jobs_);
      number_ = other.number_;
    }
    return *this;
  }
  ~LanePlace() { drop(); }

  void drop() noexcept {
    if (const std::shared_ptr<LaneJobs> jobs = std::exchange(jobs_, {}).lock()) jobs->drop(number_);
  }

 private:
  std::weak_ptr<LaneJobs> jobs_;
  std::uint64_t number_ = 0;
};

}  // namespace lukhas
