// A scripted life of a journal: records, durable records, rolls, drops, closing and opening again.
#pragma once

#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/journal/journal.hpp"
#include "lukhas/sim/simulation.hpp"
#include "simulation/journal/journal_history.hpp"

namespace lukhas::test {

inline constexpr JournalOptions scriptOptions{.segmentBytes = 4096};

inline std::uint64_t runs(std::uint64_t usual) {
  const char* deep = std::getenv("LUKHAS_DEEP");
  return deep != nullptr && std::string_view(deep) == "1" ? usual * 20 : usual;
}

// Opens, compares what is found with the history, and gives the journal. An error of open ends the script.
inline asio::awaitable<std::unique_ptr<Journal>> openAndCompare(Simulation& world, JournalHistory& history) {
  std::unique_ptr<Journal> journal =
      co_await Journal::open(world.environment(), world.disk(), "journal", scriptOptions);
  history.reopened(journal->takeRecovered());
  co_return journal;
}

inline asio::awaitable<void> appendOne(Journal& journal, JournalHistory& history, std::size_t size) {
  Bytes payload = history.next(size);
  const std::uint64_t id = history.newest();
  try {
    const Lsn lsn = co_await journal.appendDurable(7, std::move(payload));
    history.acknowledged(id, lsn);
  } catch (const Error& error) {
    if (error.code() == JournalErrc::disk_full || error.code() == JournalErrc::overloaded)
      history.refused(id);
  }
}

// `rounds` rounds of a few records each, some of which nobody waits for; what a failing disk makes of them is
// noted. `random` decides, not the world's chance, so that faults do not change the script.
inline asio::awaitable<void> playRounds(Simulation& world, JournalHistory& history, Journal& journal,
                                        SplitMix& random, std::uint64_t rounds) {
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::vector<ChildTask<void>> writers;
    const std::uint64_t count = 1 + random.below(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::size_t size = 8 + static_cast<std::size_t>(random.below(i == 0 ? 900 : 60));
      if (random.below(4) == 0) {
        Bytes payload = history.next(size);
        try {
          journal.append(7, std::move(payload));
        } catch (const Error&) {
          history.refused(history.newest());
        }
      } else {
        writers.emplace_back(world.environment(), appendOne(journal, history, size));
      }
    }
    for (ChildTask<void>& writer : writers) co_await writer.join();
    if (random.below(4) == 0) {
      const Lsn first{journal.nextLsn().value - random.below(10)};
      history.mayDropBefore(first);
      journal.dropBefore(first);
    }
  }
}

inline asio::awaitable<void> playScript(Simulation& world, JournalHistory& history, std::uint64_t seed,
                                        std::uint64_t rounds) {
  SplitMix random(seed);
  for (int life = 0; life < 2; ++life) {
    const std::unique_ptr<Journal> journal = co_await openAndCompare(world, history);
    co_await playRounds(world, history, *journal, random, rounds);
    try {
      co_await journal->close();
    } catch (const Error&) {  // poisoned
    }
  }
}

}  // namespace lukhas::test
