#include "lukhas/store/detail/entry_cache.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/rapidcheck.hpp"

namespace entry_cache_test {

using lukhas::EvictionCause;
using lukhas::TimePoint;
using lukhas::detail::CacheEntry;
using lukhas::detail::CacheEntryRef;
using lukhas::detail::EntryCache;

namespace {

// So many keys from `first` on, put in or taken out: waves, in which table and heap grow and shrink.
struct Wave {
  bool in = true;
  int first = 0;
  int count = 0;
  int value = 0;
};

void showValue(const Wave& wave, std::ostream& out) {
  out << (wave.in ? "in " : "out ") << wave.first << " +" << wave.count << " of " << wave.value;
}

void ignore(const CacheEntry&) noexcept {}

rc::Gen<Wave> anyWave() {
  const auto below = [](int end) { return rc::gen::resize(100, rc::gen::inRange(0, end)); };
  return rc::gen::build<Wave>(
      rc::gen::set(&Wave::in, rc::gen::weightedElement<bool>({{3, true}, {2, false}})),
      rc::gen::set(&Wave::first, below(6000)), rc::gen::set(&Wave::count, below(4000)),
      rc::gen::set(&Wave::value, rc::gen::weightedOneOf<int>({{4, below(40)}, {1, below(5000)}})));
}

class Bench {
 public:
  void apply(const Wave& wave) {
    for (int i = wave.first; i < wave.first + wave.count; ++i) wave.in ? put(i, wave.value) : remove(i);
    RC_ASSERT(cache_.checkInvariants());
    RC_ASSERT(cache_.size() == reference_.size());
  }

 private:
  static std::string keyOf(int i) { return std::to_string(i); }

  void put(int i, int valueBytes) {
    const std::string key = keyOf(i);
    const lukhas::Bytes value(static_cast<std::size_t>(valueBytes), std::byte{7});
    CacheEntryRef entry = CacheEntry::make(key, cache_.hashOf(key), value);
    if (!cache_.fits(1, entry->charge())) return;
    const auto gone = [this](const CacheEntry& victim, EvictionCause cause) noexcept {
      evictedWell_ =
          evictedWell_ && cause == EvictionCause::size && reference_.erase(std::string(victim.key())) == 1;
    };
    RC_ASSERT(cache_.makeReady({&entry, 1}, TimePoint(), gone));
    cache_.link(
        {&entry, 1}, [i] { return TimePoint(std::chrono::seconds(100 + i % 50)); }, ignore);
    reference_.insert_or_assign(key, valueBytes);
    RC_ASSERT(evictedWell_);
    RC_ASSERT(cache_.bytes() <= cache_.maxBytes());
    CacheEntry* const found = cache_.find(key, cache_.hashOf(key));
    RC_ASSERT(found != nullptr);
    RC_ASSERT(found->value().size() == value.size());
  }
  void remove(int i) {
    const std::string key = keyOf(i);
    CacheEntry* const found = cache_.find(key, cache_.hashOf(key));
    RC_ASSERT((found != nullptr) == (reference_.erase(key) == 1));
    if (found) cache_.remove(*found);
  }

  EntryCache cache_{256 << 10, 42};
  std::map<std::string, int, std::less<>> reference_;
  bool evictedWell_ = true;
};

}  // namespace

TEST_CASE("the cache is a bounded map through waves of growth and shrinking", "[store]") {
  lukhas::test::holdsForAll("every key is where it should be and all bytes are counted", [] {
    const auto waves = *rc::gen::scale(0.1, rc::gen::container<std::vector<Wave>>(anyWave()));
    Bench bench;
    for (const Wave& wave : waves) bench.apply(wave);
  });
}

TEST_CASE("whatever fits by its figures can be put in over anything", "[store]") {
  lukhas::test::holdsForAll("a batch that fits goes in whole", [] {
    const auto below = [](int end) { return rc::gen::resize(100, rc::gen::inRange(0, end)); };
    const int present = *below(2000);
    const int first = *below(2000);
    const int count = *below(1200);
    const int valueBytes = *rc::gen::weightedOneOf<int>({{1, below(64)}, {1, below(2000)}});
    EntryCache cache(256 << 10, 42);
    const auto make = [&](int i, int bytes) {
      const std::string key = std::to_string(i);
      const lukhas::Bytes value(static_cast<std::size_t>(bytes), std::byte{7});
      CacheEntryRef entry = CacheEntry::make(key, cache.hashOf(key), value);
      return entry;
    };
    const auto nobody = [](const CacheEntry&, EvictionCause) noexcept {};
    const auto end = [] { return TimePoint(std::chrono::seconds(100)); };
    for (int i = 0; i < present; ++i) {
      CacheEntryRef entry = make(i, 10);
      RC_ASSERT(cache.makeReady({&entry, 1}, TimePoint(), nobody));
      cache.link({&entry, 1}, end, ignore);
    }
    std::vector<CacheEntryRef> batch;
    std::size_t bytes = 0;
    for (int i = first; i < first + count; ++i) {
      batch.push_back(make(i, valueBytes));
      bytes += batch.back()->charge();
    }
    const bool fits = cache.fits(batch.size(), bytes);
    RC_CLASSIFY(fits);
    RC_ASSERT(cache.makeReady(batch, TimePoint(), nobody) == fits);
    if (!fits) return;
    cache.link(batch, end, ignore);
    RC_ASSERT(cache.checkInvariants());
    for (int i = first; i < first + count; ++i) {
      const std::string key = std::to_string(i);
      const CacheEntry* const found = cache.find(key, cache.hashOf(key));
      RC_ASSERT(found != nullptr);
      RC_ASSERT(found->value().size() == static_cast<std::size_t>(valueBytes));
    }
  });
}

}  // namespace entry_cache_test
