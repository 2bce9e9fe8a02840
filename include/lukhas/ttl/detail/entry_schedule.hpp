// EntrySchedule: the entries of a TTLEnforcementEngine and what is to be done next. No clock, no locks, no
// events.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/block_pool.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/expiry_tree.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/ttl/detail/ttl_argument_check.hpp"
#include "lukhas/ttl/detail/ttl_entry.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/detail/ttl_types.hpp"
#include "lukhas/ttl/ttl_events.hpp"
#include "lukhas/ttl/ttl_results.hpp"

namespace lukhas::detail {

// An entry lives in two stages, each with a tree; a third tree holds the warnings that are still to come.
//
//   stage   tree      its time                    what happens then
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
// An entry that is prolonged stays where it is in its trees, and is put where it belongs when it comes to the
// front too early. So next() is exact after a call that found few of those at the front, and too early after
// one that found many; takeDue() puts one right at each call.
//
// Every function but expiringSoon takes O(log n), and none ever stops for longer, however many entries there
// are: table and trees grow by pieces.
class EntrySchedule {
 public:
  struct NothingDue {};
  struct PutRight {};  // an entry that had been prolonged
  struct GraceBegun {};
  struct Expired {
    std::string_view key;  // until the next takeDue()
    const TtlType* type;   // as long as the schedule
  };
  using Due = std::variant<NothingDue, PutRight, GraceBegun, Expired, EntryExpiringSoon>;

  // Precondition: the options are checked.
  EntrySchedule(const TTLEnforcementEngineOptions& options, std::uint64_t seed)
      : seed_(seed), maxEntries_(options.maxEntries), types_(options, seed), warnings_(ByWarning{&types_}) {}
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

  // The valid entries with at most `window` left, the first to expire first; O(k log k) for k of them, and of
  // those that lie in the window because they had no more left before they were prolonged.
  [[nodiscard]] std::vector<EntryExpiringSoon> expiringSoon(Duration window, TimePoint now) const;

  // When something is to be done next, or earlier: see above.
  [[nodiscard]] std::optional<TimePoint> next() const noexcept;
  [[nodiscard]] bool isDue(TimePoint now) const noexcept {
    const std::optional<TimePoint> when = next();
    return when && *when <= now;
  }
  // Does the next thing that is due. Among entries with one grace period, in the order of their expiry.
  Due takeDue(TimePoint now);
  // How long ago the first entry should have been removed; none when nothing is to be removed yet, or, which
  // the next calls will find out, behind thousands that were prolonged.
  [[nodiscard]] std::optional<Duration> overdue(TimePoint now) noexcept;

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
  [[nodiscard]] TimePoint removalOf(const TtlEntry& entry) const noexcept {
    if (entry.ended) return entry.due.time;
    return Environment::saturatingAdd(entry.due.time, rulesOf(entry).gracePeriod);
  }
  // The key's entry if it is valid.
  [[nodiscard]] TtlEntry* findValid(std::string_view key, TimePoint now) const noexcept {
    TtlEntry* const entry = find(key);
    return entry && !entry->ended && entry->due.time > now ? entry : nullptr;
  }

  struct ByStage {
    static ExpiryKey keyOf(const TtlEntry& entry) noexcept { return entry.due; }
    static ExpiryPlace& placeOf(TtlEntry& entry) noexcept { return entry.stage; }
  };
  struct ByWarning {
    const TtlTypes* types;
    [[nodiscard]] ExpiryKey keyOf(const TtlEntry& entry) const noexcept {
      const Duration window = (*types)[entry.type].rules.expiringSoonWindow;
      return {Environment::saturatingAdd(entry.due.time, -window), entry.due.sequence};
    }
    static ExpiryPlace& placeOf(TtlEntry& entry) noexcept { return entry.warning; }
  };

  // Room for all that expireAt() may do.
  void makeRoomFor(const TtlRules& rules);
  // Makes the entry active with that expiry, and sets its warning. Precondition: there is room, or the entry
  // is active, of the same type, and expires later than before.
  void expireAt(TtlEntry& entry, TtlType::Number type, TimePoint expiry) noexcept;
  // Makes room, unless the entry need not move for it.
  void prolong(TtlEntry& entry, TimePoint expiry);
  [[nodiscard]] bool wantsWarning(const TtlEntry& entry) const noexcept {
    return !entry.warned && rulesOf(entry).expiringSoonWindow > Duration::zero();
  }
  // What next() needs to be exact, up to `most` steps in each tree, as far as there is memory.
  void settle(std::size_t most) noexcept;
  void fetchAhead() noexcept;
  void unlink(TtlEntry& entry) noexcept;
  void remove(TtlEntry& entry) noexcept;
  Expired expire(TtlEntry& entry) noexcept;
  EntryExpiringSoon takeWarning(TimePoint now);

  // Steps of settling after each call, so that what is put off is not put off for ever.
  static constexpr std::size_t afterEach = 2;
  static constexpr std::size_t atOnce = 4096;  // some hundred microseconds
  static constexpr std::size_t mostExpiredLookedAt = 4096;

  const std::uint64_t seed_;
  const std::size_t maxEntries_;
  TtlTypes types_;
  BlockPool blocks_;
  KeyTable<TtlEntry> table_;  // owns the entries
  ExpiryTree<TtlEntry, ByStage> active_;
  ExpiryTree<TtlEntry, ByStage> ended_;
  ExpiryTree<TtlEntry, ByWarning> warnings_;
  std::uint64_t sequence_ = 0;  // of the last change of a time: entries of one time are in its order
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
  entry->warned = 0;
  expireAt(*entry, learnt->number, Environment::saturatingAdd(now, granted));
  ++learnt->active;
  ++learnt->registered;
  learnt->grantedMs += toMilliseconds(granted);
  settle(afterEach);
  return granted;
}

inline bool EntrySchedule::erase(std::string_view key) {
  TtlEntry* const entry = find(key);
  if (!entry) return false;
  remove(*entry);
  settle(afterEach);
  return true;
}

inline std::optional<Duration> EntrySchedule::remaining(std::string_view key, TimePoint now) const noexcept {
  const TtlEntry* const entry = findValid(key, now);
  if (!entry) return std::nullopt;
  return entry->due.time - now;
}

inline bool EntrySchedule::refresh(std::string_view key, TimePoint now) {
  TtlEntry* const entry = find(key);
  if (!entry || removalOf(*entry) <= now) return false;
  prolong(*entry, Environment::saturatingAdd(now, entry->ttl));
  return true;
}

inline ExtendResult EntrySchedule::extend(std::string_view key, Duration by, TimePoint now) {
  using Outcome = ExtendResult::Outcome;
  TtlEntry* const entry = findValid(key, now);
  if (!entry) return {};
  const TtlRules& rules = rulesOf(*entry);
  const Duration left = entry->due.time - now;
  const Duration wanted = by > Duration::max() - left ? Duration::max() : left + by;
  // A short rest is no reason to refuse, nor to give more than was asked for: minTtl is for registering.
  const bool tooMuch = wanted > rules.maxTtl;
  const Duration granted = tooMuch ? rules.grant(key, types_[entry->type].name, wanted) : wanted;
  prolong(*entry, Environment::saturatingAdd(now, granted));
  return {tooMuch ? Outcome::reached_maximum : Outcome::extended, granted};
}

inline std::vector<EntryExpiringSoon> EntrySchedule::expiringSoon(Duration window, TimePoint now) const {
  const TimePoint limit = Environment::saturatingAdd(now, window);
  std::vector<const TtlEntry*> found;
  active_.forEachUntil(limit, size(), [&](const TtlEntry& entry) {
    if (now < entry.due.time && entry.due.time <= limit) found.push_back(&entry);
  });
  std::sort(found.begin(), found.end(), [](const auto* a, const auto* b) { return a->due < b->due; });
  std::vector<EntryExpiringSoon> soon;
  soon.reserve(found.size());
  for (const TtlEntry* const entry : found) {
    soon.push_back({std::string(entry->key()), types_[entry->type].name, entry->due.time - now});
  }
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
  const auto isDue = [now](const auto& tree) { return !tree.empty() && tree.frontTime() <= now; };
  fetchAhead();
  if (isDue(ended_)) return expire(ended_.front());
  if (isDue(active_)) {
    if (!active_.settleFront(0)) return active_.settleFront(1), PutRight{};
    TtlEntry& entry = active_.front();
    const TimePoint removal = removalOf(entry);
    if (removal <= now) return expire(entry);
    ended_.makeRoom();  // the only step that can fail: nothing has changed yet
    unlink(entry);
    entry.due = {removal, ++sequence_};
    entry.ended = 1;
    ended_.push(entry);
    return GraceBegun{};
  }
  // What expired is out of the way: a warning that is left is for a valid entry.
  if (isDue(warnings_)) {
    if (!warnings_.settleFront(0)) return warnings_.settleFront(1), PutRight{};
    return takeWarning(now);
  }
  settle(afterEach);
  return NothingDue{};
}

inline std::optional<Duration> EntrySchedule::overdue(TimePoint now) noexcept {
  settle(atOnce);
  TimePoint first = TimePoint::max();
  if (!ended_.empty()) first = ended_.frontTime();
  // The first to expire need not be the first to be gone: grace periods differ.
  active_.forEachUntil(now, mostExpiredLookedAt, [&](const TtlEntry& entry) {
    if (entry.due.time <= now) first = std::min(first, removalOf(entry));
  });
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
    sound = sound && warnings_.contains(entry) == (!entry.ended && wantsWarning(entry));
  });
  return sound && counted == size();
}

inline void EntrySchedule::makeRoomFor(const TtlRules& rules) {
  active_.makeRoom();
  if (rules.expiringSoonWindow > Duration::zero()) warnings_.makeRoom();
}

inline void EntrySchedule::expireAt(TtlEntry& entry, TtlType::Number type, TimePoint expiry) noexcept {
  const bool isActive = entry.stage.inTree() && !entry.ended;
  if (!isActive) unlink(entry);
  const bool isWarned = entry.warning.inTree();
  const ExpiryKey before = isWarned ? warnings_.keyOf(entry) : ExpiryKey{};
  const bool isEarlier = expiry < entry.due.time;
  if (!isActive || expiry != entry.due.time) entry.due = {expiry, ++sequence_};
  entry.type = type;
  entry.ended = 0;
  if (!isActive) {
    active_.push(entry);
  } else if (isEarlier) {
    active_.relocate(entry);
  }
  const bool wanted = wantsWarning(entry);
  if (isWarned && !wanted) {
    warnings_.erase(entry);
  } else if (isWarned && warnings_.keyOf(entry) != before && warnings_.keyOf(entry).time <= before.time) {
    warnings_.relocate(entry);  // also for a new place among those of the same time
  } else if (!isWarned && wanted) {
    warnings_.push(entry);
  }
}

inline void EntrySchedule::prolong(TtlEntry& entry, TimePoint expiry) {
  const bool moves = entry.ended || expiry < entry.due.time;
  if (moves) makeRoomFor(rulesOf(entry));
  expireAt(entry, entry.type, expiry);
  settle(afterEach);
}

inline void EntrySchedule::settle(std::size_t most) noexcept {
  try {
    active_.settleFront(most);
    warnings_.settleFront(most);
  } catch (const std::bad_alloc&) {  // takeDue() tries again, and says so
  }
}

// What comes next is fetched while this one is worked on.
inline void EntrySchedule::fetchAhead() noexcept {
  constexpr std::size_t entryAhead = 12;
  constexpr std::size_t bucketAhead = 8;
  constexpr std::size_t neighbourAhead = 4;
  auto& tree = ended_.empty() ? active_ : ended_;
  if (const TtlEntry* const entry = tree.ahead(entryAhead)) TtlEntry::prefetchAll(*entry);
  if (const TtlEntry* const entry = tree.ahead(bucketAhead)) table_.prefetchBucket(entry->keyHash);
  if (const TtlEntry* const entry = tree.ahead(neighbourAhead)) table_.prefetchElement(entry->keyHash);
}

inline void EntrySchedule::unlink(TtlEntry& entry) noexcept {
  if (entry.stage.inTree()) (entry.ended ? ended_ : active_).erase(entry);
  if (entry.warning.inTree()) warnings_.erase(entry);
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
  TtlEntry& entry = warnings_.front();
  EntryExpiringSoon soon{std::string(entry.key()), types_[entry.type].name, entry.due.time - now};
  warnings_.erase(entry);
  entry.warned = 1;
  return soon;
}

}  // namespace lukhas::detail
