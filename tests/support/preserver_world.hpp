// PreserverWorld: one preserver with two participants, in a simulated world.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"

namespace lukhas::test {

using PreserverTask = std::function<asio::awaitable<void>(AtomicContextPreserver&)>;

struct PreserverWorld {
  explicit PreserverWorld(AtomicContextPreserverOptions given = {}, std::uint64_t seed = 1)
      : world{{.seed = seed}}, options(std::move(given)) {
    options.journalDirectory = "journal";
    options.disk = world.disk();
    preserver = std::make_unique<AtomicContextPreserver>(world.environment(), options);
  }

  static asio::awaitable<void> started(Simulation& world, AtomicContextPreserver& preserver,
                                       PreserverTask task) {
    for (const char* name : {"db", "files"}) {
      const std::shared_ptr<SimulatedParticipant> participant = world.participant(name);
      co_await preserver.addParticipant(participant);
    }
    co_await preserver.start();
    if (task) co_await task(preserver);
  }
  // Runs `task` against the started preserver, for a minute.
  void run(PreserverTask task) {
    world.spawn(started(world, *preserver, std::move(task)));
    world.runFor(std::chrono::minutes(1));
  }

  Simulation world;
  AtomicContextPreserverOptions options;
  std::unique_ptr<AtomicContextPreserver> preserver;
};

// The error that `call` ends with; no code when it succeeds.
template <class T>
asio::awaitable<void> failing(Error& failure, asio::awaitable<T> call) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(call);
    } else {
      [[maybe_unused]] const T result = co_await std::move(call);
    }
  } catch (const Error& error) {
    failure = error;
  }
}

template <class Call>
Error failureOf(PreserverWorld& world, Call call) {
  Error failure(std::error_code{}, "it did not fail");
  world.run([&](AtomicContextPreserver& preserver) { return failing(failure, call(preserver)); });
  return failure;
}

inline const NameList both("db", "files");

}  // namespace lukhas::test
