// JournalHistory: what was asked of a journal and what it promised, to hold its next open to.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/journal/journal.hpp"

namespace lukhas::test {

// Records are known by a number in their payload. Violations are collected, so that a run can end first.
class JournalHistory {
 public:
  // The payload of the next record; the caller appends it right away.
  [[nodiscard]] Bytes next(std::size_t size) {
    entries_.push_back({++count_, Fate::unknown, {}});
    return payloadOf(count_, size);
  }
  [[nodiscard]] std::uint64_t newest() const { return count_; }
  void acknowledged(std::uint64_t id, Lsn lsn) {
    Entry& entry = entryOf(id);
    entry.fate = Fate::durable;
    entry.lsn = lsn;
  }
  // It is certainly not there.
  void refused(std::uint64_t id) { entryOf(id).fate = Fate::refused; }
  void mayDropBefore(Lsn first) { needed_ = std::max(needed_, first); }
  // From here on a record that nobody waited for may be missing while later ones are there: a full disk.
  void mayLoseUnawaited() { mayLoseUnawaited_ = true; }

  // Compares with what an open has found, which is from then on the truth.
  void reopened(const std::vector<Record>& found) {
    std::vector<Entry> truth;
    auto at = entries_.begin();
    for (const Record& record : found) {
      const std::uint64_t id = idOf(record.payload);
      const auto place = std::find_if(at, entries_.end(), [&](const Entry& entry) { return entry.id == id; });
      if (place == entries_.end()) {
        violations += fmt::format("record {} was found out of order or after it was cut; ", id);
        continue;
      }
      const bool front = truth.empty();
      for (; at != place; ++at) missing(*at, front ? Missing::front : Missing::middle);
      if (place->fate == Fate::refused) violations += fmt::format("refused record {} was found; ", id);
      if (place->fate == Fate::durable && place->lsn != record.lsn)
        violations += fmt::format("record {} has LSN {}; ", id, record.lsn.value);
      if (!truth.empty() && record.lsn <= truth.back().lsn)
        violations += fmt::format("record {} is not after the one before; ", id);
      if (record.payload != payloadOf(id, record.payload.size()))
        violations += fmt::format("record {} has another payload; ", id);
      truth.push_back({id, Fate::durable, record.lsn});
      ++at;
    }
    for (; at != entries_.end(); ++at) missing(*at, Missing::back);
    entries_ = std::move(truth);
  }

  std::string violations;

 private:
  enum class Fate { unknown, durable, refused };
  enum class Missing { front, middle, back };
  struct Entry {
    std::uint64_t id = 0;
    Fate fate = Fate::unknown;
    Lsn lsn;
  };

  void missing(const Entry& entry, Missing where) {
    if (entry.fate == Fate::refused) return;
    if (entry.fate == Fate::durable && entry.lsn < needed_ && where == Missing::front) return;
    if (entry.fate == Fate::unknown) {
      // A tail that nobody was told of may be lost, and what was before a dropped record went with it.
      if (where == Missing::back || where == Missing::front || mayLoseUnawaited_) return;
    }
    violations += fmt::format("{} record {} with LSN {} is missing; ",
                              entry.fate == Fate::durable ? "durable" : "inner", entry.id, entry.lsn.value);
  }
  [[nodiscard]] Entry& entryOf(std::uint64_t id) {
    return *std::find_if(entries_.begin(), entries_.end(),
                         [&](const Entry& entry) { return entry.id == id; });
  }
  [[nodiscard]] static Bytes payloadOf(std::uint64_t id, std::size_t size) {
    Bytes payload;
    detail::putNumber(payload, id);
    payload.resize(std::max<std::size_t>(size, 8), static_cast<std::byte>(id));
    return payload;
  }
  [[nodiscard]] static std::uint64_t idOf(const Bytes& payload) {
    return detail::getNumber<std::uint64_t>(payload, 0);
  }

  std::vector<Entry> entries_;
  std::uint64_t count_ = 0;
  Lsn needed_;
  bool mayLoseUnawaited_ = false;
};

}  // namespace lukhas::test
