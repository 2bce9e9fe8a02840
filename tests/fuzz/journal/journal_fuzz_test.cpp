#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/deep.hpp"
#include "support/journal_image.hpp"

namespace journal_fuzz_test {

namespace test = lukhas::test;
using namespace lukhas;
using test::JournalContent;
using test::openImage;
using test::RecordPlace;
using test::scanImage;
using Files = test::MemoryDisk::Files;

namespace {

// What was written to one journal, by LSN.
using Truth = std::map<std::uint64_t, Record>;
// To each of several, by uuid.
using Truths = std::map<std::string, Truth>;

Truth truthOf(const Files& files) {
  Truth truth;
  for (const Record& record : openImage(files).records) truth[record.lsn.value] = record;
  return truth;
}

// Of the journal that the files are of; which one it is, the first of them says.
const Truth& truthAbout(const Files& files, const Truths& truths) {
  static const Truth nothing;
  const std::optional<SegmentHeader> header = SegmentHeader::decode(files.begin()->second);
  const auto found = header ? truths.find(header->uuid) : truths.end();
  return found == truths.end() ? nothing : found->second;
}

bool isSame(const Record& a, const Record& b) {
  return a.type == b.type && a.lsn == b.lsn && a.durable == b.durable && a.payload == b.payload;
}

// Which rule a reading of damaged files breaks that holds for any damage; empty: none.
std::string violationOf(const Files& files, const Truth& truth, JournalContent& opened) {
  Files after;
  opened = openImage(files, &after);
  const JournalContent scanned = scanImage(files);
  if (scanned.changes != 0) return "the scan changed something";
  if (scanned.damage != opened.damage) {
    return fmt::format("open says '{}', the scan '{}'", opened.damage, scanned.damage);
  }
  std::uint64_t last = 0;
  for (const Record& record : scanned.records) {  // also those before the damage
    const auto written = truth.find(record.lsn.value);
    if (written == truth.end() || !isSame(written->second, record)) {
      return fmt::format("a wrong record {}", record.lsn.value);
    }
    if (record.lsn.value <= last) return fmt::format("record {} is out of order", record.lsn.value);
    last = record.lsn.value;
  }
  if (!opened.isSound()) return {};
  if (!std::equal(opened.records.begin(), opened.records.end(), scanned.records.begin(),
                  scanned.records.end(), isSame)) {
    return "open and scan find different records";
  }
  const JournalContent again = openImage(after);
  if (!again.isSound()) return "the next open is refused: " + again.damage;
  if (!std::equal(again.records.begin(), again.records.end(), opened.records.begin(), opened.records.end(),
                  isSame)) {
    return "the next open finds other records";
  }
  return {};
}

// What an open has to make of files in which one segment is bad from the record on that lies at `offset`.
struct Expected {
  bool refused = false;
  std::uint64_t lastLsn = 0;  // of the records that are found
};
Expected expectedOf(const Files& files, const std::string& path, std::size_t offset) {
  const std::vector<RecordPlace> places = test::placesIn(files.at(path));
  Expected expected;
  const bool isLast = path == files.rbegin()->first;
  std::size_t bad = 0;
  while (bad < places.size() && places[bad].end <= offset) ++bad;
  const bool inRecords = offset < SegmentHeader::size || bad < places.size();
  if (!isLast || offset < SegmentHeader::size) {
    expected.refused = inRecords;
  } else {
    for (std::size_t i = bad + 1; i < places.size(); ++i) {
      expected.refused = expected.refused || places[i].durable >= places[bad].lsn;
    }
  }
  const auto before = isLast ? bad : places.size();
  expected.lastLsn = before == 0 ? 0 : places[before - 1].lsn.value;
  return expected;
}

std::uint64_t lastOf(const JournalContent& content) {
  return content.records.empty() ? 0 : content.records.back().lsn.value;
}
// The last LSN of the user's records that is not above that one.
std::uint64_t lastUpTo(const Truth& truth, std::uint64_t lsn) {
  const auto above = truth.upper_bound(lsn);
  return above == truth.begin() ? 0 : std::prev(above)->first;
}

// Holds an open of damaged files to what has to come of it.
void check(const Files& damaged, const Files& files, const Truth& truth, const std::string& path,
           std::size_t offset, const std::string& what) {
  JournalContent opened;
  const std::string violation = violationOf(damaged, truth, opened);
  if (!violation.empty()) FAIL_CHECK(what << ": " << violation);
  const Expected expected = expectedOf(files, path, offset);
  if (opened.isSound() == expected.refused) {
    FAIL_CHECK(what << (expected.refused ? ": not noticed" : ": refused as " + opened.damage));
  }
  const std::uint64_t end = path == files.rbegin()->first ? expected.lastLsn : truth.rbegin()->first;
  if (!expected.refused && lastOf(opened) != lastUpTo(truth, end)) {
    FAIL_CHECK(what << ": cut behind record " << lastOf(opened) << " and not " << lastUpTo(truth, end));
  }
}

std::vector<Files> images() {
  return {test::writeImage(1, 1, 3), test::writeImage(2, 3, 5), test::writeImage(3, 2, 14)};
}

}  // namespace

TEST_CASE("a flipped bit in any byte of a journal is noticed or cuts it before the record that it is in",
          "[journal]") {
  std::uint64_t flips = 0;
  for (const Files& files : images()) {
    const Truth truth = truthOf(files);
    for (const auto& [path, bytes] : files) {
      const std::size_t used = test::placesIn(bytes).back().end;
      for (std::size_t offset = 0; offset < bytes.size(); ++offset) {
        if (offset >= used && offset % 64 != 0) continue;  // of what lies behind the records, some
        for (unsigned bit = 0; bit < 8; ++bit) {
          Files damaged = files;
          damaged[path][offset] ^= static_cast<std::byte>(1U << bit);
          check(damaged, files, truth, path, offset, fmt::format("bit {} of {} at {}", bit, path, offset));
          ++flips;
        }
      }
    }
  }
  CHECK(flips > 80'000);
}

TEST_CASE("a segment that is cut at any byte is refused or ends before the record that is not whole",
          "[journal]") {
  for (const Files& files : images()) {
    const Truth truth = truthOf(files);
    for (const auto& [path, bytes] : files) {
      const std::size_t used = test::placesIn(bytes).back().end;
      for (std::size_t size = 0; size <= used; ++size) {
        Files damaged = files;
        damaged[path].resize(size);
        JournalContent opened;
        const std::string violation = violationOf(damaged, truth, opened);
        const std::string what = fmt::format("{} cut at {}", path, size);
        if (!violation.empty()) FAIL_CHECK(what << ": " << violation);
        const bool isLast = path == files.rbegin()->first;
        const bool isWhole = size == used || (isLast && size >= SegmentHeader::size);
        if (opened.isSound() != isWhole) FAIL_CHECK(what << ": " << opened.damage);
      }
    }
  }
}

namespace {

auto anyOf(SplitMix& chance, const Files& files) {
  return std::next(files.begin(), static_cast<std::ptrdiff_t>(chance.below(files.size())));
}
auto at(Bytes& bytes, std::size_t place) { return bytes.begin() + static_cast<std::ptrdiff_t>(place); }

// A record of `source` over what lies at a place where one may begin.
void putRecord(SplitMix& chance, Bytes& target, Bytes source) {
  const std::vector<RecordPlace> places = test::placesIn(source);
  const RecordPlace& place = places[chance.below(places.size())];
  const std::size_t to = chance.below(4096 / 8) * 8;
  if (to + place.end - place.begin > target.size()) return;
  std::copy(at(source, place.begin), at(source, place.end), at(target, to));
}

// Two neighbours of a segment that was `original`.
void swapRecords(SplitMix& chance, Bytes& target, const Bytes& original) {
  const std::vector<RecordPlace> places = test::placesIn(original);
  if (places.size() < 2 || target.size() < places.back().end) return;
  const std::size_t first = chance.below(places.size() - 1);
  std::rotate(at(target, places[first].begin), at(target, places[first + 1].begin),
              at(target, places[first + 1].end));
}

void makeNoise(SplitMix& chance, Bytes& target) {
  if (target.empty()) return;
  for (std::uint64_t left = chance.below(40); left > 0; --left) {
    target[chance.below(target.size())] = static_cast<std::byte>(chance.next());
  }
}

// One thing that a careless copy, a wrong restore or a bad disk does. `others`: another journal, or the same.
void damageOnce(SplitMix& chance, Files& damaged, const Files& files, const Files& others) {
  const std::string path = anyOf(chance, damaged)->first;
  Bytes& target = damaged.at(path);
  Bytes source = anyOf(chance, others)->second;
  switch (chance.below(7)) {
    case 0: putRecord(chance, target, std::move(source)); break;
    case 1:
      if (files.contains(path)) swapRecords(chance, target, files.at(path));
      break;
    case 2: target = source; break;
    case 3: damaged.erase(path); break;
    case 4: {  // one stands there twice
      const Bytes copy = target;
      damaged[fmt::format("journal/segment-{:010}.log", 1 + chance.below(8))] = copy;
      break;
    }
    case 5: {  // the second half of one behind the first half of another
      const std::size_t cut = chance.below(std::min(target.size(), source.size()) + 1);
      target.resize(cut);
      target.insert(target.end(), at(source, cut), source.end());
      break;
    }
    default: makeNoise(chance, target); break;
  }
}

}  // namespace

TEST_CASE("records and segments that are swapped, copied or taken from elsewhere never give a wrong record",
          "[journal]") {
  const std::vector<Files> all = images();
  Truths truths;
  for (const Files& files : all) {
    truths[SegmentHeader::decode(files.begin()->second)->uuid] = truthOf(files);
  }
  const std::uint64_t seeds = ::test::runs(50'000, 1'000'000);
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SplitMix chance(seed);
    const std::size_t chosen = chance.below(all.size());
    const Files& others = all[chance.below(all.size())];
    Files damaged = all[chosen];
    for (std::uint64_t i = 1 + chance.below(3); i > 0 && !damaged.empty(); --i) {
      damageOnce(chance, damaged, all[chosen], others);
    }
    if (damaged.empty()) continue;
    JournalContent opened;
    const std::string violation = violationOf(damaged, truthAbout(damaged, truths), opened);
    if (!violation.empty()) FAIL_CHECK("seed " << seed << ": " << violation);
    if (!opened.isSound()) ++refused;
  }
  CHECK(refused > seeds / 4);
  CHECK(refused < seeds);
}

}  // namespace journal_fuzz_test
