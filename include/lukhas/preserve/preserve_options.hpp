// PreserveOptions: what one call of preserveContext or forget may ask for.
#pragma once

#include <cstdint>
#include <optional>

namespace lukhas {

// When a call returns that was not refused.
enum class PreserveUntil {
  // Every participant holds the context, or commitTimeout is over: those that do not are `pending`.
  applied,
  // The decision is on disk, and final. All participants are `pending`: they are told behind the caller's
  // back. The next transaction of the context waits until they were, as ever, and maxConcurrent counts this
  // one until then.
  decided,
};

//   co_await preserver.preserveContext(id, context, names, {.expectedVersion = snapshot.version});
struct PreserveOptions {
  // The version that the context must have when its turn comes, 0 for one that must not exist; otherwise
  // PreserveErrc::version_conflict, and nothing has changed. Left out: whatever it is. A context that is
  // forgotten does not exist any more, and begins with version 1 again. Who loses a race against another
  // coordinator gets PreserveErrc::aborted, since a participant refuses.
  std::optional<std::uint64_t> expectedVersion = std::nullopt;
  PreserveUntil until = PreserveUntil::applied;
};

}  // namespace lukhas
