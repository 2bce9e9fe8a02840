// What the preserver tells about its decisions and its times.
#include <memory>
#include <string>
#include <vector>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace preserver_history_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextSnapshot;
using lukhas::HistoryEntry;
using lukhas::test::both;
using lukhas::test::PreserverWorld;
using nlohmann::json;
using Task = asio::awaitable<void>;

std::vector<json> exported(const AtomicContextPreserver& preserver) {
  std::vector<json> lines;
  preserver.exportHistory([&](std::string_view line) {
    CHECK(line.find('\n') == std::string_view::npos);
    lines.push_back(json::parse(line));
  });
  return lines;
}

TEST_CASE("history has every participant's answer with its time, also after a restart", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    world.world.participant("db")->latency(10ms, 10ms);
    world.world.participant("files")->latency(30ms, 30ms);
    const json data = 1;
    (void)co_await preserver.preserveContext("session", data, both);
    (void)co_await preserver.forget("session");
  });
  const auto check = [](const AtomicContextPreserver& preserver) {
    const std::vector<HistoryEntry> entries = preserver.history("session");
    REQUIRE(entries.size() == 2);
    REQUIRE(entries[0].answers.size() == 2);
    CHECK(entries[0].answers[0].participant == "db");
    CHECK(entries[0].answers[0].preparedAfter == 20ms);
    CHECK(entries[0].answers[1].preparedAfter == 60ms);
    REQUIRE(entries[0].answers[1].appliedAfter);
    CHECK(*entries[0].answers[1].appliedAfter >= 60ms);
    CHECK(*entries[0].answers[1].appliedAfter < 1s);
    const std::vector<json> lines = exported(preserver);
    REQUIRE(lines.size() == 2);
    CHECK(lines[0]["contextId"] == "session");
    CHECK(lines[0]["version"] == 1);
    CHECK(lines[0]["forgets"] == false);
    CHECK(lines[0]["participants"][1]["name"] == "files");
    CHECK(lines[0]["participants"][1]["preparedMs"] == 60.0);
    CHECK(lines[1]["forgets"] == true);
    CHECK(lines[0]["decidedAt"].get<std::string>().size() == 24);
  };
  check(*world.preserver);
  world.world.spawn(
      [](AtomicContextPreserver& preserver) -> Task { co_await preserver.stop(); }(*world.preserver));
  world.world.runFor(1min);
  world.preserver = std::make_unique<AtomicContextPreserver>(world.world.environment(), world.options);
  world.run({});
  check(*world.preserver);
}

TEST_CASE("a participant that has not applied yet has no time of it", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    world.world.participant("files")->goDownDuringCommit(40s);
    const json data = 1;
    (void)co_await preserver.preserveContext("session", data, both);
    const std::vector<HistoryEntry> entries = preserver.history("session");
    CHECK_FALSE(entries.at(0).answers.at(1).appliedAfter);
    CHECK(exported(preserver).at(0)["participants"][1]["appliedMs"].is_null());
    co_await world.world.environment().sleepFor(50s);
    CHECK(*preserver.history("session").at(0).answers.at(1).appliedAfter >= 40s);
  });
}

TEST_CASE("metrics have percentiles of each phase and of each participant", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    world.world.participant("db")->latency(10ms, 10ms);
    world.world.participant("files")->latency(30ms, 30ms);
    const json data = 1;
    for (int i = 0; i < 3; ++i) (void)co_await preserver.preserveContext("session", data, both);
    world.world.participant("files")->refuseNextPrepare();
    lukhas::Error failure(std::error_code{}, "");
    co_await lukhas::test::failing(failure, preserver.preserveContext("session", data, both));
  });
  const json metrics = world.preserver->getMetrics().toJson();
  for (const char* phase : {"queue", "read", "prepare", "decide", "apply"}) {
    CHECK(metrics["phaseP50Ms"].contains(phase));
    CHECK(metrics["phaseP99Ms"].contains(phase));
  }
  const auto about = [](double value, double expected) {
    return value > expected * 0.98 && value < expected * 1.02;
  };
  CHECK(about(metrics["phaseP50Ms"]["prepare"].get<double>(), 60));
  CHECK(about(metrics["prepareP50Ms"]["db"].get<double>(), 20));
  CHECK(about(metrics["prepareP99Ms"]["files"].get<double>(), 60));
  CHECK(about(metrics["commitP50Ms"]["files"].get<double>(), 60));
  CHECK(metrics["participantFailures"]["files"] == 1);
  CHECK(metrics["participantFailures"]["db"] == 0);
  const std::string text = lukhas::toPrometheus("preserver", world.preserver->getMetrics());
  CHECK(text.find("lukhas_preserver_commit_p99_ms{participant=\"db\"} ") != std::string::npos);
}

}  // namespace preserver_history_test
