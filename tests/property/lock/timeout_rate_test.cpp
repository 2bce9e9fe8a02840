#include "lukhas/lock/detail/timeout_rate.hpp"

#include <algorithm>
#include <vector>

#include "support/rapidcheck.hpp"

namespace {

using lukhas::TimePoint;
using lukhas::detail::TimeoutRate;
using namespace std::chrono_literals;

struct Event {
  int afterMs = 0;
  bool timedOut = false;
};

void showValue(const Event& event, std::ostream& out) {
  out << '+' << event.afterMs << (event.timedOut ? " timeout" : " grant");
}

}  // namespace

TEST_CASE("the rate counts the last six slots of ten seconds and nothing else", "[lock]") {
  lukhas::test::holdsForAll("events at any distance", [] {
    const auto after = rc::gen::weightedOneOf<int>({{6, rc::gen::inRange(0, 9'000)},
                                                    {2, rc::gen::inRange(0, 70'000)},
                                                    {1, rc::gen::inRange(0, 1'000'000)}});
    const auto events = *rc::gen::container<std::vector<Event>>(rc::gen::build<Event>(
        rc::gen::set(&Event::afterMs, after), rc::gen::set(&Event::timedOut, rc::gen::arbitrary<bool>())));
    TimeoutRate rate;
    std::vector<std::pair<std::int64_t, bool>> all;
    TimePoint now(1h);
    for (const Event& event : events) {
      now += std::chrono::milliseconds(event.afterMs);
      event.timedOut ? rate.timedOut(now) : rate.granted(now);
      const std::int64_t slot = now.time_since_epoch() / 10s;
      all.emplace_back(slot, event.timedOut);
      const auto isRecent = [slot](const auto& seen) { return seen.first > slot - 6; };
      const auto requests = std::count_if(all.begin(), all.end(), isRecent);
      const auto timeouts = std::count_if(all.begin(), all.end(),
                                          [&](const auto& seen) { return isRecent(seen) && seen.second; });
      RC_ASSERT(rate.recent(now).requests == static_cast<std::uint64_t>(requests));
      RC_ASSERT(rate.recent(now).timeouts == static_cast<std::uint64_t>(timeouts));
    }
  });
}
