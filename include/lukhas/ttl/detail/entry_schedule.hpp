// EntrySchedule: the entries of a TTLEnforcementEngine and what is to be done next. No clock, no locks, no
// events.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/ttl/detail/ttl_entry.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/ttl_events.hpp"

namespace lukhas::detail {

// An entry lives in two stages, each with a heap; a third heap holds the warnings that are still to come.
//
//   stage   heap      its time                    what happens then
//   valid   active_   expiresAt                   to ended_, or removed when the grace period is over as well
//           warnings_ expiresAt - window          EntryExpiringSoon, once
//   ended   ended_    expiresAt + grace period    removed, EntryExpired
//
// Two stages, because grace periods differ by type: sorting by one of the times does not sort by the other,
// and "expiring soon" must not walk through what has expired already.
//
// Whether an entry is valid is decided by expiresAt alone, so it does not matter how late the stages follow.
// Every function but expiringSoon takes O(log n).
class EntrySchedule {
 public:
  struct NothingDue {};
  struct GraceBegun {};
  using Due = std::variant<NothingDue, GraceBegun, EntryExpired, EntryExpiringSoon>;

  explicit EntrySchedule(std::uint64_t hashSeed) : table_(0, KeyHash{hashSeed}) {}
  EntrySchedule(const EntrySchedule&) = delete;
  EntrySchedule& operator=(const EntrySchedule&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }
  [[nodiscard]] bool empty() const noexcept { return table_.empty(); }
  [[nodiscard]] bool contains(std::string_view key) const { return table_.find(key) != table_.end(); }

  // Begins a life of the key; an earlier one, expired or not, ends without a word. Without memory it throws
  // std::bad_alloc, and nothing has changed.
  void put(std::string_view key, std::string_view type, const TtlRules& rules, Duration ttl, TimePoint now);
  // False when there is none.
  bool erase(std::string_view key);

  // The entry if it is valid at `now`. Not to be kept: see put and erase.
  [[nodiscard]] TtlEntry* findValid(std::string_view key, TimePoint now);
  // Precondition: valid at `now`, remaining > 0. Its warning comes again when it is out of the window again.
  void prolong(TtlEntry& entry, Duration remaining, TimePoint now);

  // The valid entries with at most `window` left, the first to expire first; O(k log k) for k of them.
  [[nodiscard]] std::vector<EntryExpiringSoon> expiringSoon(Duration window, TimePoint now) const;

  // When something is to be done next.
  [[nodiscard]] std::optional<TimePoint> next() const noexcept;
  [[nodiscard]] bool isDue(TimePoint now) const noexcept {
    const std::optional<TimePoint> when = next();
    return when && *when <= now;
  }
  // Does the next thing that is due. Among entries with one grace period, in the order of their expiry.
  Due takeDue(TimePoint now);
  // How long ago the first entry should have been removed; none when nothing is to be removed yet.
  [[nodiscard]] std::optional<Duration> overdue(TimePoint now) const noexcept;

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const;

 private:
  struct KeyHash {
    using is_transparent = void;
    std::uint64_t seed;
    // Not noexcept: libstdc++ then keeps each hash, and need not hash all keys again when the table grows.
    std::size_t operator()(std::string_view key) const { return hash64(asBytes(key), seed); }
  };
  using Table = std::unordered_map<std::string, TtlEntry, KeyHash, std::equal_to<>>;

  // An entry whose grace period is over at `now` too needs no second stage.
  EntryExpired remove(const TtlEntry& entry);
  void startWarning(TtlEntry& entry, TimePoint earliest);
  void unlink(TtlEntry& entry) noexcept;

  Table table_;
  ExpiryHeap<ActiveHook, TimePoint> active_;
  ExpiryHeap<EndedHook, TimePoint> ended_;
  ExpiryHeap<WarningHook, TimePoint> warnings_;
};

inline void EntrySchedule::put(std::string_view key, std::string_view type, const TtlRules& rules,
                               Duration ttl, TimePoint now) {
  // What can fail comes first; from the last of it on, every step is done without memory.
  std::string ownType(type);
  active_.makeRoom();
  if (rules.expiringSoonWindow > Duration::zero()) warnings_.makeRoom();
  auto found = table_.find(key);
  if (found == table_.end()) found = table_.try_emplace(std::string(key)).first;

  TtlEntry& entry = found->second;
  if (ended_.contains(entry)) ended_.erase(entry);
  entry.key = &found->first;
  entry.type = std::move(ownType);
  entry.rules = &rules;
  entry.ttl = ttl;
  entry.expiresAt = Environment::saturatingAdd(now, ttl);
  if (active_.contains(entry)) {
    active_.update(entry, entry.expiresAt);
  } else {
    active_.push(entry, entry.expiresAt);
  }
  if (rules.expiringSoonWindow > Duration::zero()) {
    startWarning(entry, TimePoint::min());
  } else if (warnings_.contains(entry)) {
    warnings_.erase(entry);
  }
}

inline bool EntrySchedule::erase(std::string_view key) {
  const auto found = table_.find(key);
  if (found == table_.end()) return false;
  unlink(found->second);
  table_.erase(found);
  return true;
}

inline TtlEntry* EntrySchedule::findValid(std::string_view key, TimePoint now) {
  const auto found = table_.find(key);
  if (found == table_.end() || found->second.expiresAt <= now) return nullptr;
  return &found->second;
}

inline void EntrySchedule::prolong(TtlEntry& entry, Duration remaining, TimePoint now) {
  const TimePoint before = std::exchange(entry.expiresAt, Environment::saturatingAdd(now, remaining));
  try {
    startWarning(entry, now);
  } catch (...) {
    entry.expiresAt = before;
    throw;
  }
  active_.update(entry, entry.expiresAt);
}

inline std::vector<EntryExpiringSoon> EntrySchedule::expiringSoon(Duration window, TimePoint now) const {
  std::vector<EntryExpiringSoon> soon;
  active_.forEachUntil(Environment::saturatingAdd(now, window),
                       [&](const ActiveHook& hook, TimePoint expiresAt) {
                         if (expiresAt <= now) return;
                         const auto& entry = static_cast<const TtlEntry&>(hook);
                         soon.push_back({*entry.key, entry.type, expiresAt - now});
                       });
  return soon;
}

inline std::optional<TimePoint> EntrySchedule::next() const noexcept {
  if (table_.empty()) return std::nullopt;
  TimePoint first = TimePoint::max();
  if (!active_.empty()) first = std::min(first, active_.frontTime());
  if (!ended_.empty()) first = std::min(first, ended_.frontTime());
  if (!warnings_.empty()) first = std::min(first, warnings_.frontTime());
  return first;
}

inline EntrySchedule::Due EntrySchedule::takeDue(TimePoint now) {
  if (!ended_.empty() && ended_.frontTime() <= now) return remove(static_cast<TtlEntry&>(ended_.front()));
  if (!active_.empty() && active_.frontTime() <= now) {
    TtlEntry& entry = static_cast<TtlEntry&>(active_.front());
    if (entry.removalAt() <= now) return remove(entry);
    ended_.push(entry, entry.removalAt());  // the only step that can fail: nothing has changed yet
    active_.erase(entry);
    if (warnings_.contains(entry)) warnings_.erase(entry);
    return GraceBegun{};
  }
  // What expired is out of the way: a warning that is left is for a valid entry.
  if (!warnings_.empty() && warnings_.frontTime() <= now) {
    TtlEntry& entry = static_cast<TtlEntry&>(warnings_.front());
    EntryExpiringSoon soon{*entry.key, entry.type, entry.remaining(now)};
    warnings_.erase(entry);
    return soon;
  }
  return NothingDue{};
}

inline std::optional<Duration> EntrySchedule::overdue(TimePoint now) const noexcept {
  TimePoint first = TimePoint::max();
  if (!ended_.empty()) first = ended_.frontTime();
  if (!active_.empty()) first = std::min(first, static_cast<const TtlEntry&>(active_.front()).removalAt());
  if (table_.empty() || first > now) return std::nullopt;
  return now - first;
}

inline bool EntrySchedule::checkInvariants() const {
  if (!active_.checkInvariants() || !ended_.checkInvariants() || !warnings_.checkInvariants()) return false;
  if (active_.size() + ended_.size() != table_.size() || warnings_.size() > active_.size()) return false;
  return std::all_of(table_.begin(), table_.end(), [this](const auto& row) {
    const TtlEntry& entry = row.second;
    if (entry.key != &row.first || active_.contains(entry) == ended_.contains(entry)) return false;
    if (warnings_.contains(entry) && !active_.contains(entry)) return false;
    return active_.contains(entry) ? active_.timeOf(entry) == entry.expiresAt
                                   : ended_.timeOf(entry) == entry.removalAt();
  });
}

// Here and nowhere else an entry goes because of its age.
inline EntryExpired EntrySchedule::remove(const TtlEntry& entry) {
  auto node = table_.extract(table_.find(*entry.key));
  unlink(node.mapped());
  return {std::move(node.key()), std::move(node.mapped().type)};
}

// A warning that is due before `earliest` was given already, or is not wanted.
inline void EntrySchedule::startWarning(TtlEntry& entry, TimePoint earliest) {
  const Duration window = entry.rules->expiringSoonWindow;
  if (window == Duration::zero()) return;
  const TimePoint due = Environment::saturatingAdd(entry.expiresAt, -window);
  if (warnings_.contains(entry)) {
    warnings_.update(entry, due);
  } else if (due > earliest) {
    warnings_.push(entry, due);
  }
}

inline void EntrySchedule::unlink(TtlEntry& entry) noexcept {
  if (active_.contains(entry)) active_.erase(entry);
  if (ended_.contains(entry)) ended_.erase(entry);
  if (warnings_.contains(entry)) warnings_.erase(entry);
}

}  // namespace lukhas::detail
