#include "lukhas/ttl/detail/entry_schedule.hpp"

#include <chrono>
#include <string>
#include <variant>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::EntryExpired;
using lukhas::EntryExpiringSoon;
using lukhas::OutOfRangeTtl;
using lukhas::TimePoint;
using lukhas::detail::EntrySchedule;
using lukhas::detail::TtlRules;

namespace {

TtlRules rulesWith(lukhas::Duration grace, lukhas::Duration window = 0s) {
  return {5min, 30s, 1h, OutOfRangeTtl::clamp, grace, window};
}
constexpr TimePoint at(lukhas::Duration since) { return TimePoint(since); }

// One letter for each kind of thing that is done, and the key of what is reported.
std::string takeAll(EntrySchedule& entries, TimePoint now) {
  std::string done;
  for (;;) {
    const EntrySchedule::Due due = entries.takeDue(now);
    CHECK(entries.checkInvariants());
    if (std::holds_alternative<EntrySchedule::NothingDue>(due)) return done;
    if (std::holds_alternative<EntrySchedule::GraceBegun>(due)) done += "g ";
    if (const auto* expired = std::get_if<EntryExpired>(&due)) done += "x:" + expired->key + " ";
    if (const auto* soon = std::get_if<EntryExpiringSoon>(&due)) done += "s:" + soon->key + " ";
  }
}

}  // namespace

TEST_CASE("an entry goes through its stages at the times of its rules", "[ttl]") {
  const TtlRules rules = rulesWith(5s, 10s);
  EntrySchedule entries(1);
  entries.put("a", "", rules, 30s, at(0s));
  CHECK(entries.next() == at(20s));
  CHECK(takeAll(entries, at(20s) - 1ns) == "");
  CHECK(takeAll(entries, at(20s)) == "s:a ");
  CHECK(entries.next() == at(30s));
  CHECK(takeAll(entries, at(30s)) == "g ");
  CHECK(entries.next() == at(35s));
  CHECK_FALSE(entries.overdue(at(35s) - 1ns).has_value());
  CHECK(entries.overdue(at(37s)) == 2s);
  CHECK(takeAll(entries, at(35s)) == "x:a ");
  CHECK(entries.empty());
  CHECK_FALSE(entries.next().has_value());
  CHECK_FALSE(entries.overdue(TimePoint::max()).has_value());
}

TEST_CASE("an entry that is long overdue is removed in one step and without a warning", "[ttl]") {
  const TtlRules rules = rulesWith(5s, 10s);
  EntrySchedule entries(1);
  entries.put("b", "", rules, 31s, at(0s));
  entries.put("a", "", rules, 30s, at(0s));
  CHECK(entries.overdue(at(36s)) == 1s);
  CHECK(takeAll(entries, at(1h)) == "x:a x:b ");
}

TEST_CASE("an entry in its grace period is not valid and not about to expire", "[ttl]") {
  const TtlRules rules = rulesWith(5s);
  EntrySchedule entries(1);
  entries.put("a", "", rules, 30s, at(0s));
  CHECK(takeAll(entries, at(30s)) == "g ");
  CHECK(entries.contains("a"));
  CHECK(entries.findValid("a", at(30s)) == nullptr);
  CHECK(entries.expiringSoon(1h, at(30s)).empty());
  CHECK(entries.erase("a"));
  CHECK_FALSE(entries.erase("a"));
  CHECK(entries.checkInvariants());
  CHECK(takeAll(entries, at(1h)) == "");
}

TEST_CASE("an entry is replaced in any stage", "[ttl]") {
  const TtlRules rules = rulesWith(5s, 10s);
  const TtlRules silent = rulesWith(0s);
  for (const auto& reached : {at(0s), at(25s), at(32s)}) {
    EntrySchedule entries(1);
    entries.put("a", "old", rules, 30s, at(0s));
    (void)takeAll(entries, reached);
    entries.put("a", "new", silent, 1min, reached);
    CHECK(entries.checkInvariants());
    CHECK(entries.size() == 1);
    CHECK(entries.next() == reached + 1min);
    CHECK(takeAll(entries, reached + 1min) == "x:a ");
  }
}

TEST_CASE("prolonging moves the warning and the expiry", "[ttl]") {
  const TtlRules rules = rulesWith(5s, 10s);
  EntrySchedule entries(1);
  entries.put("a", "", rules, 30s, at(0s));
  entries.prolong(*entries.findValid("a", at(5s)), 30s, at(5s));
  CHECK(entries.next() == at(25s));
  CHECK(takeAll(entries, at(25s)) == "s:a ");
  entries.prolong(*entries.findValid("a", at(30s)), 9s, at(30s));
  CHECK(entries.next() == at(39s));
  CHECK(entries.checkInvariants());
}

TEST_CASE("the last moment of time does not wrap round", "[ttl]") {
  const TtlRules rules = rulesWith(24h, 1s);
  EntrySchedule entries(1);
  entries.put("a", "", rules, 1h, TimePoint::max() - 1s);
  CHECK(entries.findValid("a", TimePoint::max() - 1ns) != nullptr);
  CHECK(entries.checkInvariants());
}
