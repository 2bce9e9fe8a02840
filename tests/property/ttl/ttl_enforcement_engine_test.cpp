#include "lukhas/ttl/ttl_enforcement_engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/rapidcheck.hpp"

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::EntryExpired;
using lukhas::EntryExpiringSoon;
using lukhas::ExtendResult;
using lukhas::TTLEnforcementEngine;
using lukhas::TTLEnforcementEngineOptions;

namespace {

constexpr int keyCount = 12;
constexpr Duration never = Duration::max();

// Types differ in everything that a policy can change. Seconds, few of them, so that times meet.
TTLEnforcementEngineOptions options() {
  return {
      .defaultTtl = 5s,
      .minTtl = 2s,
      .maxTtl = 10s,
      .sweepInterval = 7s,
      .maxEntriesPerSlice = 2,
      .gracePeriod = 2s,
      .policies = {{"warned", {.expiringSoonWindow = 3s}},
                   {"long", {.defaultTtl = 12s, .maxTtl = 20s, .gracePeriod = 6s, .expiringSoonWindow = 15s}},
                   {"sharp", {.minTtl = 1s, .gracePeriod = 0s}}}};
}

struct Rules {
  Duration standard, shortest, longest, grace, window;
};
Rules rulesOf(const std::string& type) {
  if (type == "warned") return {5s, 2s, 10s, 2s, 3s};
  if (type == "long") return {12s, 2s, 20s, 6s, 15s};
  if (type == "sharp") return {5s, 1s, 10s, 0s, 0s};
  return {5s, 2s, 10s, 2s, 0s};
}

struct Step {
  enum Kind : int { enter, refresh, extend, unregister, wait, look, sweep, stop, start, kinds } kind = enter;
  int key = 0;
  int seconds = 0;  // 0 for enter: the default
  int type = 0;
};

void showValue(const Step& step, std::ostream& out) {
  out << step.kind << ':' << step.key << '+' << step.seconds << '/' << step.type;
}

rc::Gen<Step> anyStep() {
  const auto kind = rc::gen::weightedElement<Step::Kind>({{12, Step::enter},
                                                          {6, Step::refresh},
                                                          {6, Step::extend},
                                                          {3, Step::unregister},
                                                          {12, Step::wait},
                                                          {4, Step::look},
                                                          {2, Step::sweep},
                                                          {1, Step::stop},
                                                          {3, Step::start}});
  const auto below = [](int limit) { return rc::gen::resize(100, rc::gen::inRange(0, limit)); };
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, kind), rc::gen::set(&Step::key, below(keyCount)),
                              rc::gen::set(&Step::seconds, below(14)), rc::gen::set(&Step::type, below(4)));
}

// What should happen, in the simplest words: a map that is looked through at every instant of interest.
class Reference {
 public:
  struct Entry {
    std::string type;
    Duration ttl{}, expiresAt{};
    bool warned = false;  // in this life
  };
  using Reports =
      std::vector<std::tuple<Duration, std::string, std::string>>;  // when, key, "type" or "type!"

  bool running = true;
  Reports reports;

  Duration enter(const std::string& key, const std::string& type, std::optional<Duration> ttl, Duration now) {
    const Rules rules = rulesOf(type);
    const Duration granted = std::clamp(ttl.value_or(rules.standard), rules.shortest, rules.longest);
    entries_[key] = {type, granted, now + granted, false};
    return granted;
  }
  bool refresh(const std::string& key, Duration now) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return false;
    Entry& entry = found->second;
    if (entry.expiresAt + rulesOf(entry.type).grace <= now) return false;
    entry.expiresAt = now + entry.ttl;
    return true;
  }
  ExtendResult extend(const std::string& key, Duration by, Duration now) {
    const auto left = remaining(key, now);
    if (!left) return {};
    Entry& entry = entries_[key];
    const Duration longest = rulesOf(entry.type).longest;
    const Duration granted = std::min(*left + by, longest);
    entry.expiresAt = now + granted;
    return {*left + by > longest ? ExtendResult::Outcome::reached_maximum : ExtendResult::Outcome::extended,
            granted};
  }
  bool erase(const std::string& key) { return entries_.erase(key) > 0; }
  [[nodiscard]] std::optional<Duration> remaining(const std::string& key, Duration now) const {
    const auto found = entries_.find(key);
    if (found == entries_.end() || found->second.expiresAt <= now) return std::nullopt;
    return found->second.expiresAt - now;
  }
  [[nodiscard]] std::vector<std::pair<Duration, std::string>> soon(Duration window, Duration now) const {
    std::vector<std::pair<Duration, std::string>> found;
    for (const auto& [key, entry] : entries_) {
      const Duration left = entry.expiresAt - now;
      if (left > 0s && left <= window) found.emplace_back(left, key);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // Everything that is due at this instant. Gives the number of removals.
  std::size_t workAt(Duration now) {
    std::size_t removed = 0;
    for (auto row = entries_.begin(); row != entries_.end();) {
      auto& [key, entry] = *row;
      if (entry.expiresAt + rulesOf(entry.type).grace <= now) {
        reports.emplace_back(now, key, entry.type);
        row = entries_.erase(row);
        ++removed;
        continue;
      }
      const Duration window = rulesOf(entry.type).window;
      if (window > 0s && !entry.warned && entry.expiresAt > now && entry.expiresAt - window <= now) {
        reports.emplace_back(now, key, entry.type + "!");
        entry.warned = true;
      }
      ++row;
    }
    return removed;
  }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t sizeOf(const std::string& type) const {
    return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(),
                                                  [&](const auto& row) { return row.second.type == type; }));
  }
  [[nodiscard]] const Entry& at(const std::string& key) const { return entries_.at(key); }

 private:
  std::map<std::string, Entry> entries_;
};

struct Bench {
  lukhas::Simulation world{{.seed = 5}};
  TTLEnforcementEngine engine{world.environment(), options()};
  Reference reference;
  Reference::Reports reports;
  std::vector<lukhas::Subscription> watching;
  std::map<Duration, std::pair<Duration, Duration>> lastOfGrace;  // grace: when reported, its expiry
  bool inOrder = true;
  std::uint64_t entered = 0;
  std::uint64_t removed = 0;

  Bench() {
    engine.start();
    watching.push_back(engine.onExpired.connect([this](const EntryExpired& event) {
      reports.emplace_back(world.elapsed(), event.key, event.type);
      ++removed;
      noteOrder(event);
    }));
    watching.push_back(engine.onExpiringSoon.connect([this](const EntryExpiringSoon& event) {
      reports.emplace_back(world.elapsed(), event.key, event.type + "!");
      if (event.remaining != engine.getRemainingTTL(event.key)) reports.emplace_back(never, event.key, "?");
    }));
  }

  // What is reported at one instant, for one grace period, comes in the order of its expiry.
  void noteOrder(const EntryExpired& event) {
    const Duration expiresAt = reference.at(event.key).expiresAt;
    auto& [instant, last] = lastOfGrace[rulesOf(event.type).grace];
    inOrder = inOrder && (instant != world.elapsed() || last <= expiresAt);
    instant = world.elapsed();
    last = expiresAt;
  }

  void apply(const Step& step) {
    static const char* const types[] = {"", "warned", "long", "sharp"};
    const std::string key(1, static_cast<char>('a' + step.key));
    const Duration now = world.elapsed();
    const Duration span = std::chrono::seconds(step.seconds);
    switch (step.kind) {
      case Step::enter: {
        std::optional<lukhas::Duration> ttl;
        if (step.seconds != 0) ttl = span;
        const std::string type = types[step.type];
        RC_ASSERT(engine.registerEntry(key, ttl, type) == reference.enter(key, type, ttl, now));
        ++entered;
        break;
      }
      case Step::refresh: RC_ASSERT(engine.refresh(key) == reference.refresh(key, now)); break;
      case Step::extend: extend(key, span); break;
      case Step::unregister: RC_ASSERT(engine.unregister(key) == reference.erase(key)); break;
      case Step::wait: wait(step.seconds); break;
      case Step::look: look(span); break;
      case Step::sweep: sweep(); break;
      case Step::stop: engine.stop(), reference.running = false; break;
      default: engine.start(), reference.running = true; break;
    }
    check();
  }

  void extend(const std::string& key, Duration by) {
    const ExtendResult expected = reference.extend(key, by, world.elapsed());
    const ExtendResult given = engine.extend(key, by);
    RC_ASSERT(given.outcome == expected.outcome);
    RC_ASSERT(given.remaining == expected.remaining);
  }
  // Second by second: all times are whole seconds.
  void wait(int seconds) {
    settle();
    for (int i = 0; i < seconds; ++i) {
      world.runFor(1s);
      if (reference.running) reference.workAt(world.elapsed());
    }
  }
  void settle() {
    world.runFor(0s);
    if (reference.running) reference.workAt(world.elapsed());
  }
  void look(Duration window) {
    std::vector<std::pair<Duration, std::string>> seen;
    for (const auto& entry : engine.getExpiringSoon(window)) seen.emplace_back(entry.remaining, entry.key);
    RC_ASSERT(std::is_sorted(seen.begin(), seen.end(), [](auto& a, auto& b) { return a.first < b.first; }));
    std::sort(seen.begin(), seen.end());
    RC_ASSERT(seen == reference.soon(window, world.elapsed()));
  }
  void sweep() {
    settle();
    std::size_t swept = 0;
    world.spawn([](TTLEnforcementEngine& swept_, std::size_t& result) -> asio::awaitable<void> {
      result = (co_await swept_.sweep()).expired;
    }(engine, swept));
    world.runFor(0s);
    RC_ASSERT(swept == reference.workAt(world.elapsed()));
  }

  void check() {
    settle();
    std::sort(reports.begin(), reports.end());
    std::sort(reference.reports.begin(), reference.reports.end());
    RC_ASSERT(reports == reference.reports);
    RC_ASSERT(engine.checkInvariants());
    const auto metrics = engine.getMetrics();
    RC_ASSERT(metrics.activeEntries == reference.size());
    RC_ASSERT(metrics.totalEntries == entered);
    RC_ASSERT(metrics.expiredEntries == removed);
    RC_ASSERT(inOrder);
    engine.forEachType([this](const lukhas::TtlTypeStatistics& type) {
      RC_ASSERT(type.activeEntries == reference.sizeOf(type.type));
    });
    RC_ASSERT(engine.healthCheck().healthy || !reference.running);
    for (const Duration window : {0s, 3s, 100s}) look(window);
    for (int i = 0; i < keyCount; ++i) {
      const std::string key(1, static_cast<char>('a' + i));
      RC_ASSERT(engine.getRemainingTTL(key) == reference.remaining(key, world.elapsed()));
      RC_ASSERT(engine.isValid(key) == reference.remaining(key, world.elapsed()).has_value());
    }
  }
};

}  // namespace

TEST_CASE("the TTL engine is a map that is looked through at every instant", "[ttl]") {
  lukhas::test::holdsForAll("validity and rest and reports are those of the reference", [] {
    const auto steps = *rc::gen::scale(10, rc::gen::container<std::vector<Step>>(anyStep()));
    Bench bench;
    for (const Step& step : steps) bench.apply(step);
    bench.engine.start();
    bench.reference.running = true;
    bench.wait(60);
    bench.check();
    RC_ASSERT(bench.engine.getMetrics().activeEntries == 0U);
    const Duration rest = bench.world.elapsed();
    bench.world.run();
    RC_ASSERT(bench.world.elapsed() == rest);  // no timer was left
  });
}
