#include "lukhas/ttl/detail/entry_schedule.hpp"

#include <chrono>
#include <string>
#include <variant>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::EntryExpiringSoon;
using lukhas::ExtendResult;
using lukhas::TimePoint;
using lukhas::TTLEnforcementEngineOptions;
using lukhas::detail::EntrySchedule;

namespace {

// Two types: one that is warned of 10 s ahead and has 5 s of grace, and "silent" without either.
TTLEnforcementEngineOptions twoTypes() {
  return {.gracePeriod = 5s,
          .expiringSoonWindow = 10s,
          .policies = {{"silent", {.gracePeriod = 0s, .expiringSoonWindow = 0s}}}};
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
    if (const auto* expired = std::get_if<EntrySchedule::Expired>(&due)) {
      done += "x:" + std::string(expired->key) + " ";
    }
    if (const auto* soon = std::get_if<EntryExpiringSoon>(&due)) done += "s:" + soon->key + " ";
  }
}

}  // namespace

TEST_CASE("an entry goes through its stages at the times of its rules", "[ttl]") {
  EntrySchedule entries(twoTypes(), 1);
  CHECK(entries.put("a", "", 30s, at(0s)) == 30s);
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
  EntrySchedule entries(twoTypes(), 1);
  entries.put("b", "", 31s, at(0s));
  entries.put("a", "", 30s, at(0s));
  CHECK(entries.overdue(at(36s)) == 1s);
  CHECK(takeAll(entries, at(1h)) == "x:a x:b ");
}

// Each row of the table in the header, for a schedule that has followed and for one that has not.
TEST_CASE("what an entry is at a time does not depend on how far the stages have followed", "[ttl]") {
  struct Row {
    lukhas::Duration time;
    bool valid, refreshed;
  };
  for (const Row& row : {Row{30s - 1ns, true, true}, Row{30s, false, true}, Row{35s - 1ns, false, true},
                         Row{35s, false, false}}) {
    for (const bool followed : {false, true}) {
      INFO(row.time.count() << (followed ? " followed" : " not followed"));
      EntrySchedule entries(twoTypes(), 1);
      entries.put("a", "", 30s, at(0s));
      if (followed) (void)takeAll(entries, at(row.time));
      CHECK(entries.remaining("a", at(row.time)).has_value() == row.valid);
      CHECK(entries.expiringSoon(1h, at(row.time)).empty() == !row.valid);
      CHECK(bool(entries.extend("a", 0s, at(row.time))) == row.valid);
      CHECK(entries.refresh("a", at(row.time)) == row.refreshed);
      CHECK(entries.remaining("a", at(row.time)).has_value() == row.refreshed);
      CHECK(entries.checkInvariants());
      const bool stillThere = row.refreshed || !followed;
      CHECK(entries.erase("a") == stillThere);
      CHECK_FALSE(entries.erase("a"));
      CHECK(takeAll(entries, at(1h)) == "");
    }
  }
}

TEST_CASE("an entry that was refreshed in its grace period goes through its stages again", "[ttl]") {
  EntrySchedule entries(twoTypes(), 1);
  entries.put("a", "", 30s, at(0s));
  CHECK(takeAll(entries, at(32s)) == "g ");
  CHECK(entries.refresh("a", at(32s)));
  CHECK(entries.remaining("a", at(32s)) == 30s);
  CHECK(entries.next() == at(52s));  // its warning was too late before, and is not now
  CHECK(takeAll(entries, at(62s)) == "g ");
  CHECK(entries.refresh("a", at(62s)));
  CHECK(takeAll(entries, at(82s)) == "s:a ");
  CHECK(takeAll(entries, at(1h)) == "x:a ");
}

TEST_CASE("an entry is replaced in any stage", "[ttl]") {
  for (const auto& reached : {at(0s), at(25s), at(32s)}) {
    EntrySchedule entries(twoTypes(), 1);
    entries.put("a", "old", 30s, at(0s));
    (void)takeAll(entries, reached);
    entries.put("a", "silent", 1min, reached);
    CHECK(entries.checkInvariants());
    CHECK(entries.size() == 1);
    CHECK(entries.next() == reached + 1min);
    CHECK(takeAll(entries, reached + 1min) == "x:a ");
  }
}

TEST_CASE("prolonging moves the warning and the expiry", "[ttl]") {
  EntrySchedule entries(twoTypes(), 1);
  entries.put("a", "", 30s, at(0s));
  CHECK(entries.refresh("a", at(5s)));
  CHECK(entries.next() == at(25s));
  CHECK(takeAll(entries, at(25s)) == "s:a ");
  const ExtendResult result = entries.extend("a", 9s, at(30s));
  CHECK(result.outcome == ExtendResult::Outcome::extended);
  CHECK(result.remaining == 14s);
  CHECK(entries.next() == at(44s));
  CHECK(entries.checkInvariants());
}

TEST_CASE("keys of every length are found by all of their bytes", "[ttl]") {
  EntrySchedule entries(twoTypes(), 1);
  for (std::size_t size = 1; size <= 256; ++size) entries.put(std::string(size, 'k'), "", 30s, at(0s));
  entries.put(std::string(255, 'k') + "x", "", 31s, at(0s));
  CHECK(entries.size() == 257);
  CHECK(entries.remaining(std::string(255, 'k') + "x", at(0s)) == 31s);
  std::size_t found = 0;
  for (std::size_t size = 1; size <= 256; ++size) found += entries.erase(std::string(size, 'k')) ? 1 : 0;
  CHECK(found == 256);
  CHECK(takeAll(entries, at(1h)) == "x:" + std::string(255, 'k') + "x ");
}

TEST_CASE("the last moment of time does not wrap round", "[ttl]") {
  EntrySchedule entries({.gracePeriod = 24h, .expiringSoonWindow = 1s}, 1);
  entries.put("a", "", 1h, TimePoint::max() - 1s);
  CHECK(entries.remaining("a", TimePoint::max() - 1ns) == 1ns);
  CHECK(entries.checkInvariants());
}
