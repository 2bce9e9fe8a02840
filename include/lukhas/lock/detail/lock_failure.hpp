// The errors of AsyncLock, with their sentences and details.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/histogram.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/lock/detail/lock_hold.hpp"
#include "lukhas/lock/detail/lock_request.hpp"
#include "lukhas/lock/detail/wait_graph.hpp"
#include "lukhas/lock/lock_error.hpp"

namespace lukhas::detail {

inline constexpr std::size_t maxLockKeyBytes = 256;
inline constexpr std::size_t maxLockLabelBytes = 256;

[[noreturn]] inline void throwBadKey(std::string_view key) {
  nlohmann::json details;
  if (key.empty()) {
    details["minimum"] = 1;
    throw Error(LockErrc::empty_key, "the key of a lock is empty", std::move(details));
  }
  details["size"] = key.size();
  details["maximum"] = maxLockKeyBytes;
  throw Error(LockErrc::key_too_long,
              fmt::format("the key of a lock has {} bytes; allowed are 1 to {}", key.size(), maxLockKeyBytes),
              std::move(details));
}
inline void checkLockKey(std::string_view key) {
  if (key.empty() || key.size() > maxLockKeyBytes) throwBadKey(key);
}

[[noreturn]] inline void throwTimeout(const LockRequest& request, Duration timeout) {
  const LockBlocker blocker = request.blocker ? *request.blocker : LockBlocker();
  nlohmann::json details;
  details["key"] = cleanText(request.hold->key());
  details["timeoutMs"] = toMilliseconds(timeout);
  details["holder"] = cleanText(blocker.holder);
  details["heldMs"] = toMilliseconds(blocker.held);
  details["otherWaiters"] = blocker.otherWaiters;
  const std::string by = blocker.holder.empty() ? "" : fmt::format(" by {}", quotedText(blocker.holder));
  throw Error(LockErrc::timeout,
              fmt::format("lock {} was not free within {} ms: it is held for {:.0f} ms{}, and {} others wait",
                          quotedText(request.hold->key()), toMilliseconds(timeout),
                          toMilliseconds(blocker.held), by, blocker.otherWaiters),
              std::move(details));
}

[[noreturn]] inline void throwClosed(std::string_view key) {
  nlohmann::json details;
  details["key"] = cleanText(key);
  throw Error(LockErrc::lock_closed,
              fmt::format("the AsyncLock was destroyed before lock {} was granted", quotedText(key)),
              std::move(details));
}

[[noreturn]] inline void throwOverloaded(std::string_view key, std::size_t maximum) {
  nlohmann::json details;
  details["key"] = cleanText(key);
  details["maximum"] = maximum;
  throw Error(LockErrc::overloaded,
              fmt::format("lock {} is held, and {} requests wait already", quotedText(key), maximum),
              std::move(details));
}

// The details have the circle up to a bound that no circle of people's making reaches, the sentence its first
// steps.
[[noreturn]] inline void throwDeadlock(std::string_view key, const std::vector<WaitStep>& circle) {
  constexpr std::size_t mostNamed = 8;
  constexpr std::size_t mostListed = 1000;
  nlohmann::json details;
  details["key"] = cleanText(key);
  details["cycle"] = nlohmann::json::array();
  std::string story;
  for (std::size_t i = 0; i < std::min(circle.size(), mostListed); ++i) {
    const WaitStep& step = circle[i];
    nlohmann::json member;
    member["task"] = cleanText(step.task);
    member["key"] = cleanText(step.key);
    member["holder"] = cleanText(step.holder);
    details["cycle"].push_back(std::move(member));
    if (i < mostNamed) {
      story += fmt::format("{}{} waits for {} of {}", i == 0 ? "" : ", ", quotedText(step.task),
                           quotedText(step.key), quotedText(step.holder));
    }
  }
  if (circle.size() > mostNamed) story += fmt::format(", and {} more", circle.size() - mostNamed);
  throw Error(LockErrc::deadlock_detected,
              fmt::format("waiting for lock {} would never end: {}", quotedText(key), story),
              std::move(details));
}

}  // namespace lukhas::detail
