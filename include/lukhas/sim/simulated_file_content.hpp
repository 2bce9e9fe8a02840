// SimulatedFileContent: the bytes of one file of a simulated disk, and what a crash may make of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/core/bytes.hpp"

namespace lukhas::detail {

// Sectors by number; those that are missing are zeros, so a big file with little in it costs little. Each
// sector that was changed since the last sync remembers every state that it had since then, the durable one
// first: a crash leaves any one of them, because the kernel writes pages back whenever it likes. The size is
// one more such thing.
class SimulatedFileContent {
 public:
  static constexpr std::size_t sectorSize = 512;
  using Sector = std::array<std::byte, sectorSize>;

  [[nodiscard]] std::uint64_t size() const noexcept { return sizes_.back(); }

  [[nodiscard]] Bytes read(std::uint64_t offset, std::size_t count) const {
    if (offset >= size()) return {};
    Bytes bytes(static_cast<std::size_t>(std::min<std::uint64_t>(count, size() - offset)));
    const std::uint64_t end = offset + bytes.size();
    for (auto at = sectors_.lower_bound(offset / sectorSize); at != sectors_.end(); ++at) {
      const std::uint64_t begin = at->first * sectorSize;
      if (begin >= end) break;
      const std::uint64_t from = std::max(begin, offset);
      const std::uint64_t to = std::min(begin + sectorSize, end);
      std::copy_n(at->second.begin() + static_cast<std::ptrdiff_t>(from - begin), to - from,
                  bytes.begin() + static_cast<std::ptrdiff_t>(from - offset));
    }
    return bytes;
  }

  void write(std::uint64_t offset, ByteView bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const std::uint64_t at = offset + done;
      const auto inSector = static_cast<std::size_t>(at % sectorSize);
      const std::size_t part = std::min(sectorSize - inSector, bytes.size() - done);
      Sector changed = sector(at / sectorSize);
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(done), part,
                  changed.begin() + static_cast<std::ptrdiff_t>(inSector));
      change(at / sectorSize, changed);
      done += part;
    }
    if (offset + bytes.size() > size()) sizes_.push_back(offset + bytes.size());
  }

  // What is cut off reads as zeros when the file grows again.
  void resize(std::uint64_t newSize) {
    if (newSize == size()) return;
    if (newSize < size()) {
      std::vector<std::uint64_t> cut;
      for (auto at = sectors_.lower_bound(newSize / sectorSize); at != sectors_.end(); ++at)
        cut.push_back(at->first);
      for (const std::uint64_t number : cut) {
        Sector changed{};
        if (number == newSize / sectorSize) {
          const auto kept = static_cast<std::ptrdiff_t>(newSize % sectorSize);
          const Sector before = sector(number);
          std::copy(before.begin(), before.begin() + kept, changed.begin());
        }
        change(number, changed);
      }
    }
    sizes_.push_back(newSize);
  }

  void sync() {
    std::erase_if(unsynced_, [](const auto& entry) { return !entry.second.forgotten; });
    sizes_ = {size()};
  }
  // As a kernel does after it could not write: some pages stay in memory and count as clean, so that the next
  // sync succeeds without writing them.
  void failSync(SplitMix& chance) {
    for (auto& [number, history] : unsynced_) history.forgotten = history.forgotten || chance.below(2) == 0;
  }

  void crash(SplitMix& chance) {
    const std::uint64_t kind = chance.below(4);  // nothing survives, all does, or any part
    const auto pick = [&](std::size_t states) {
      if (kind == 0) return std::size_t{0};
      return kind == 1 ? states - 1 : static_cast<std::size_t>(chance.below(states));
    };
    for (auto& [number, history] : unsynced_) {
      history.states.push_back(sector(number));
      sectors_[number] = history.states[pick(history.states.size())];
    }
    unsynced_.clear();
    const std::uint64_t survived = sizes_[pick(sizes_.size())];
    sizes_ = {survived};
    sectors_.erase(sectors_.lower_bound((survived + sectorSize - 1) / sectorSize), sectors_.end());
    if (const auto last = sectors_.find(survived / sectorSize); last != sectors_.end()) {
      std::fill(last->second.begin() + static_cast<std::ptrdiff_t>(survived % sectorSize), last->second.end(),
                std::byte{0});
    }
  }

  // In memory and on the disk.
  void flipBit(std::uint64_t offset, unsigned bit) {
    const auto flip = [&](Sector& sector) {
      sector[offset % sectorSize] ^= static_cast<std::byte>(1U << (bit % 8));
    };
    const std::uint64_t number = offset / sectorSize;
    flip(sectors_[number]);
    if (const auto found = unsynced_.find(number); found != unsynced_.end())
      std::for_each(found->second.states.begin(), found->second.states.end(), flip);
  }

 private:
  struct History {
    std::vector<Sector> states;  // the durable one, then those that were overwritten; not the present one
    bool forgotten = false;      // counts as clean although it is not on the disk
  };

  [[nodiscard]] Sector sector(std::uint64_t number) const {
    const auto found = sectors_.find(number);
    return found == sectors_.end() ? Sector{} : found->second;
  }
  void change(std::uint64_t number, const Sector& changed) {
    History& history = unsynced_[number];
    history.states.push_back(sector(number));
    history.forgotten = false;
    sectors_[number] = changed;
  }

  std::map<std::uint64_t, Sector> sectors_;
  std::map<std::uint64_t, History> unsynced_;
  std::vector<std::uint64_t> sizes_{0};  // the durable one first, the present one last
};

}  // namespace lukhas::detail
