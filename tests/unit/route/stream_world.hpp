// How a stream from a router ended, for tests.
#pragma once

#include <string>
#include <vector>

#include "unit/route/router_world.hpp"

namespace lukhas::test {

struct StreamEnding {
  bool begun = false;
  bool ended = false;
  std::string model;
  std::string text;
  std::size_t deltas = 0;
  std::string finishReason;
  std::uint64_t totalTokens = 0;
  unsigned attempts = 0;
  std::error_code error;
  nlohmann::json details;
  Duration firstAfter{};
  Duration took{};
};

// Reads to the end, with a pause before each further delta.
inline asio::awaitable<void> streamInto(Environment environment, ModelRouter& router, RouteRequest request,
                                        StreamEnding& ending, Duration pause = Duration::zero()) {
  const TimePoint began = environment.now();
  try {
    ModelStream stream = co_await router.routeStream(std::move(request));
    ending.begun = true;
    ending.model = stream.model();
    ending.attempts = stream.attempts();
    ending.firstAfter = environment.now() - began;
    while (std::optional<ModelDelta> delta = co_await stream.next()) {
      ending.text += delta->text;
      ++ending.deltas;
      if (!delta->finishReason.empty()) ending.finishReason = delta->finishReason;
      ending.totalTokens += delta->usage.totalTokens;
      if (pause > Duration::zero()) co_await environment.sleepFor(pause);
    }
  } catch (const Error& error) {
    ending.error = error.code();
    ending.details = error.details();
  } catch (const std::system_error& error) {
    ending.error = error.code();
  }
  ending.took = environment.now() - began;
  ending.ended = true;
}

inline void startStream(RouterFixture& f, StreamEnding& ending, Duration pause = Duration::zero()) {
  f.world.spawn(streamInto(f.world.environment(), *f.router,
                           RouteRequest("req-1", helloContext(), NameList{"chat"}), ending, pause));
}

// One stream, to its end; nothing may keep running.
inline StreamEnding stream(RouterFixture& f, Duration pause = Duration::zero()) {
  StreamEnding ending;
  startStream(f, ending, pause);
  f.world.run();
  REQUIRE(ending.ended);
  CHECK(f.world.openConnections() == 0);
  CHECK(f.router->getMetrics().activeRequests == 0);
  return ending;
}

}  // namespace lukhas::test
