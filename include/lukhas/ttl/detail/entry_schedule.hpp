// EntrySchedule: the entries of a TTLEnforcementEngine and what is to be done next. No clock, no locks, no
// events.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/block_pool.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/ttl/detail/ttl_argument_check.hpp"
#include "lukhas/ttl/detail/ttl_entry.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/detail/ttl_types.hpp"
#include "lukhas/ttl/ttl_events.hpp"
#include "lukhas/ttl/ttl_results.hpp"

namespace lukhas::detail {

// An entry lives in two stages, each with a heap; a third heap holds the warnings that are still to come.
//
//   stage   heap      its time                    what happens then
//   active  active_   its expiry                  to ended_, or removed when the grace period is over as well
//           warnings_ expiry - window             EntryExpiringSoon, once in a life
//   ended   ended_    expiry + grace period       removed, EntryExpired
//
// Two stages, because grace periods differ by type: sorting by one of the times does not sort by the other,
// and "expiring soon" must not walk through what has expired already.
//
// What an entry is at a given time is decided by its times alone, so it does not matter how late the stages
// follow:
//
//   time            valid   refresh          unregister
//   before expiry   yes     yes              yes
//   grace period    no      yes: valid again yes
//   after that      no      no               yes, until it is removed
//
// Every function but expiringSoon takes O(log n), and none ever stops for longer, however many entries there
// are: table and heaps grow by pieces.
class EntrySchedule {
 public:
  struct NothingDue {};
  struct GraceBegun {};
  struct Expired {
    std::string_view key;  // until the next takeDue()
    const TtlType* type;   // as long as the schedule
  };
  using Due = std::variant<NothingDue, GraceBegun, Expired, EntryExpiringSoon>;

  // Precondition: the options are checked.
  EntrySchedule(const TTLEnforcementEngineOptions& options, std::uint64_t seed)
      : seed_(seed), maxEntries_(options.maxEntries), types_(options, seed) {}
  EntrySchedule(const EntrySchedule&) = delete;
  EntrySchedule& operator=(const EntrySchedule&) = delete;
  ~EntrySchedule() {
    table_.forEach([this](TtlEntry& entry) { TtlEntry::destroy(blocks_, entry); });
  }

  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }
  [[nodiscard]] bool empty() const noexcept { return table_.empty(); }
  [[nodiscard]] const TtlTypes& types() const noexcept { return types_; }

  // Begins a life of the key, and gives the TTL that it got; an earlier life, expired or not, ends without a
  // word. Throws TtlErrc::ttl_out_of_range, too_many_entries, too_many_types or std::bad_alloc, and then
  // nothing has changed. Precondition: key and type are no longer than they may be.
  Duration put(std::string_view key, std::string_view type, std::optional<Duration> ttl, TimePoint now);
  // False when there is none.
  bool erase(std::string_view key);

  // What is left; none when the key is not valid.
  [[nodiscard]] std::optional<Duration> remaining(std::string_view key, TimePoint now) const noexcept;
  // The original TTL again. False when the key is not registered, or its grace period is over.
  bool refresh(std::string_view key, TimePoint now);
  // Throws TtlErrc::ttl_out_of_range where that is the policy. Precondition: by >= 0.
  ExtendResult extend(std::string_view key, Duration by, TimePoint now);

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
  [[nodiscard]] bool checkInvariants() const noexcept;

 private:
  [[nodiscard]] TtlEntry* find(std::string_view key, std::uint64_t hash) const noexcept {
    return table_.find(key, hash);
  }
  [[nodiscard]] TtlEntry* find(std::string_view key) const noexcept { return find(key, hashOf(key)); }
  [[nodiscard]] std::uint64_t hashOf(std::string_view key) const noexcept {
    return hash64(asBytes(key), seed_);
  }
  [[nodiscard]] const TtlRules& rulesOf(const TtlEntry& entry) const noexcept {
    return types_[entry.type].rules;
  }
  // Precondition: active.
  [[nodiscard]] TimePoint expiryOf(const TtlEntry& entry) const noexcept { return active_.timeOf(entry); }
  [[nodiscard]] TimePoint removalOf(const TtlEntry& entry) const noexcept {
    if (entry.ended) return ended_.timeOf(entry);
    return Environment::saturatingAdd(expiryOf(entry), rulesOf(entry).gracePeriod);
  }
  // The key's entry if it is valid.
  [[nodiscard]] TtlEntry* findValid(std::string_view key, TimePoint now) const noexcept {
    TtlEntry* const entry = find(key);
    return entry && !entry->ended && expiryOf(*entry) > now ? entry : nullptr;
  }

  // Room for all that expireAt() may do.
  void makeRoomFor(const TtlRules& rules);
  // Makes the entry active with that expiry, and sets its warning. Precondition: there is room.
  void expireAt(TtlEntry& entry, TimePoint expiry) noexcept;
  void unlink(TtlEntry& entry) noexcept;
  void remove(TtlEntry& entry) noexcept;
  Expired expire(TtlEntry& entry) noexcept;
  EntryExpiringSoon takeWarning(TimePoint now);

  const std::uint64_t seed_;
  const std::size_t maxEntries_;
  TtlTypes types_;
  BlockPool blocks_;
  KeyTable<TtlEntry> table_;  // owns the entries
  ExpiryHeap<StageHook, TimePoint> active_;
  ExpiryHeap<StageHook, TimePoint> ended_;
  ExpiryHeap<WarningHook, TimePoint> warnings_;
  std::array<char, maxTtlKeyBytes> lastExpired_;  // the key that takeDue() gave last
};

inline Duration EntrySchedule::put(std::string_view key, std::string_view type, std::optional<Duration> ttl,
                                   TimePoint now) {
  // What can fail comes first.
  const TtlRules& rules = types_.rulesOf(type);
  const Duration granted = rules.grant(key, type, ttl.value_or(rules.defaultTtl));
  const std::uint64_t hash = hashOf(key);
  TtlEntry* entry = find(key, hash);
  if (!entry && size() >= maxEntries_) refuseTtlEntry(key, maxEntries_);
  if (!entry) table_.reserve(size() + 1);
  makeRoomFor(rules);
  TtlEntry* const fresh = entry ? nullptr : &TtlEntry::make(blocks_, key, hash);
  TtlType* learnt = nullptr;
  try {
    learnt = &types_.learn(type);
  } catch (...) {
    if (fresh) TtlEntry::destroy(blocks_, *fresh);
    throw;
  }

  if (entry) {
    --types_[entry->type].active;
  } else {
    entry = fresh;
    table_.insert(*entry);
  }
  entry->ttl = granted;
  entry->type = learnt->number;
  entry->warned = 0;
  expireAt(*entry, Environment::saturatingAdd(now, granted));
  ++learnt->active;
  ++learnt->registered;
  learnt->grantedMs += toMilliseconds(granted);
  return granted;
}

inline bool EntrySchedule::erase(std::string_view key) {
  TtlEntry* const entry = find(key);
  if (!entry) return false;
  remove(*entry);
  return true;
}

inline std::optional<Duration> EntrySchedule::remaining(std::string_view key, TimePoint now) const noexcept {
  const TtlEntry* const entry = findValid(key, now);
  if (!entry) return std::nullopt;
  return expiryOf(*entry) - now;
}

inline bool EntrySchedule::refresh(std::string_view key, TimePoint now) {
  TtlEntry* const entry = find(key);
  if (!entry || removalOf(*entry) <= now) return false;
  makeRoomFor(rulesOf(*entry));
  expireAt(*entry, Environment::saturatingAdd(now, entry->ttl));
  return true;
}

inline ExtendResult EntrySchedule::extend(std::string_view key, Duration by, TimePoint now) {
  using Outcome = ExtendResult::Outcome;
  TtlEntry* const entry = findValid(key, now);
  if (!entry) return {};
  const TtlRules& rules = rulesOf(*entry);
  const Duration left = expiryOf(*entry) - now;
  const Duration wanted = by > Duration::max() - left ? Duration::max() : left + by;
  // A short rest is no reason to refuse, nor to give more than was asked for: minTtl is for registering.
  const bool tooMuch = wanted > rules.maxTtl;
  const Duration granted = tooMuch ? rules.grant(key, types_[entry->type].name, wanted) : wanted;
  makeRoomFor(rules);
  expireAt(*entry, Environment::saturatingAdd(now, granted));
  return {tooMuch ? Outcome::reached_maximum : Outcome::extended, granted};
}

inline std::vector<EntryExpiringSoon> EntrySchedule::expiringSoon(Duration window, TimePoint now) const {
  std::vector<EntryExpiringSoon> soon;
  active_.forEachUntil(Environment::saturatingAdd(now, window), [&](const StageHook& hook, TimePoint expiry) {
    if (expiry <= now) return;
    const auto& entry = static_cast<const TtlEntry&>(hook);
    soon.push_back({std::string(entry.key()), types_[entry.type].name, expiry - now});
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
  if (!ended_.empty() && ended_.frontTime() <= now) return expire(static_cast<TtlEntry&>(ended_.front()));
  if (!active_.empty() && active_.frontTime() <= now) {
    TtlEntry& entry = static_cast<TtlEntry&>(active_.front());
    const TimePoint removal = removalOf(entry);
    if (removal <= now) return expire(entry);
    ended_.makeRoom();  // the only step that can fail: nothing has changed yet
    unlink(entry);
    ended_.push(entry, removal);
    entry.ended = 1;
    return GraceBegun{};
  }
  // What expired is out of the way: a warning that is left is for a valid entry.
  if (!warnings_.empty() && warnings_.frontTime() <= now) return takeWarning(now);
  return NothingDue{};
}

inline std::optional<Duration> EntrySchedule::overdue(TimePoint now) const noexcept {
  TimePoint first = TimePoint::max();
  if (!ended_.empty()) first = ended_.frontTime();
  if (!active_.empty()) first = std::min(first, removalOf(static_cast<const TtlEntry&>(active_.front())));
  if (table_.empty() || first > now) return std::nullopt;
  return now - first;
}

inline bool EntrySchedule::checkInvariants() const noexcept {
  if (!active_.checkInvariants() || !ended_.checkInvariants() || !warnings_.checkInvariants()) return false;
  if (!table_.checkInvariants() || warnings_.size() > active_.size()) return false;
  if (active_.size() + ended_.size() != size() || size() > maxEntries_) return false;
  bool sound = true;
  std::size_t counted = 0;
  for (const TtlType& type : types_) counted += type.active;
  table_.forEach([&](const TtlEntry& entry) {
    sound = sound && (entry.ended ? ended_ : active_).contains(entry);
    if (warnings_.contains(entry)) sound = sound && !entry.ended && !entry.warned;
  });
  return sound && counted == size();
}

inline void EntrySchedule::makeRoomFor(const TtlRules& rules) {
  active_.makeRoom();
  if (rules.expiringSoonWindow > Duration::zero()) warnings_.makeRoom();
}

inline void EntrySchedule::expireAt(TtlEntry& entry, TimePoint expiry) noexcept {
  if (entry.StageHook::inHeap() && !entry.ended) {
    active_.update(entry, expiry);
  } else {
    unlink(entry);
    active_.push(entry, expiry);
    entry.ended = 0;
  }
  const Duration window = rulesOf(entry).expiringSoonWindow;
  const bool wanted = window > Duration::zero() && !entry.warned;
  if (!wanted) {
    if (warnings_.contains(entry)) warnings_.erase(entry);
    return;
  }
  const TimePoint due = Environment::saturatingAdd(expiry, -window);
  if (warnings_.contains(entry)) {
    warnings_.update(entry, due);
  } else {
    warnings_.push(entry, due);
  }
}

inline void EntrySchedule::unlink(TtlEntry& entry) noexcept {
  if (entry.StageHook::inHeap()) (entry.ended ? ended_ : active_).erase(entry);
  if (entry.WarningHook::inHeap()) warnings_.erase(entry);
}

inline void EntrySchedule::remove(TtlEntry& entry) noexcept {
  --types_[entry.type].active;
  unlink(entry);
  table_.erase(entry);
  TtlEntry::destroy(blocks_, entry);
}

// Here and nowhere else an entry goes because of its age.
inline EntrySchedule::Expired EntrySchedule::expire(TtlEntry& entry) noexcept {
  TtlType& type = types_[entry.type];
  ++type.expired;
  const std::string_view key = entry.key();
  std::copy(key.begin(), key.end(), lastExpired_.begin());
  const Expired expired{{lastExpired_.data(), key.size()}, &type};
  remove(entry);
  return expired;
}

inline EntryExpiringSoon EntrySchedule::takeWarning(TimePoint now) {
  TtlEntry& entry = static_cast<TtlEntry&>(warnings_.front());
  EntryExpiringSoon soon{std::string(entry.key()), types_[entry.type].name, expiryOf(entry) - now};
  warnings_.erase(entry);
  entry.warned = 1;
  return soon;
}

}  // namespace lukhas::detail
