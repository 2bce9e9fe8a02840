// Many awaitables, a bounded number of them at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/environment.hpp"

namespace lukhas {

namespace detail {

template <class MakeTask>
struct BoundedRun {
  BoundedRun(std::size_t all, MakeTask make) : count(all), makeTask(std::move(make)) {}

  const std::size_t count;
  const MakeTask makeTask;
  std::atomic<std::size_t> next = 0;
};

template <class MakeTask>
asio::awaitable<void> runShare(std::shared_ptr<BoundedRun<MakeTask>> run) {
  for (std::size_t i = run->next++; i < run->count; i = run->next++) co_await run->makeTask(i);
}

}  // namespace detail

// Runs makeTask(0) to makeTask(count - 1), each an asio::awaitable<void>, at most `limit` (at least 1) at
// once, begun in that order. Returns when all have ended. The first exception ends what its share would
// still have begun; it comes out when the other shares are through. Cancelling it asks the running ones to
// stop, and does not wait: `makeTask` and what it makes must own what they use, see ChildTask.
template <class MakeTask>
[[nodiscard]] asio::awaitable<void> runBounded(Environment environment, std::size_t count, std::size_t limit,
                                               MakeTask makeTask) {
  const auto run = std::make_shared<detail::BoundedRun<MakeTask>>(count, std::move(makeTask));
  std::vector<ChildTask<void>> shares;
  for (std::size_t i = 0; i < std::min(count, std::max<std::size_t>(limit, 1)); ++i) {
    shares.emplace_back(environment, detail::runShare(run));
  }
  std::exception_ptr first;
  for (ChildTask<void>& share : shares) {
    try {
      co_await share.join();
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace lukhas
