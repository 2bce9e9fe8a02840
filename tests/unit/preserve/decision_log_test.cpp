#include "lukhas/preserve/decision_log.hpp"

#include <string>
#include <vector>

#include "lukhas/preserve/decision_history.hpp"
#include "lukhas/preserve/decision_replay.hpp"
#include "support/catch.hpp"

using lukhas::Decision;
using lukhas::DecisionReplay;

namespace {

constexpr auto commitType = static_cast<std::uint8_t>(lukhas::DecisionRecord::commit);
constexpr auto endType = static_cast<std::uint8_t>(lukhas::DecisionRecord::end);

Decision decision(std::string id, std::string context, std::vector<std::string> participants) {
  Decision made;
  made.transaction.transactionId = std::move(id);
  made.transaction.contextId = std::move(context);
  made.transaction.version = 7;
  made.participants = std::move(participants);
  made.payloadHash = 0xFFFFFFFFFFFFFFFFU;
  made.decidedAt = lukhas::WallTime(std::chrono::seconds(5));
  return made;
}

}  // namespace

TEST_CASE("a decision is read back as it was written", "[preserve]") {
  const Decision written = decision("lukhas:c:1:2", std::string("any \0 bytes \xFF", 13), {"db", "files"});
  const Decision read = Decision::decode(written.encode());
  CHECK(read.transaction.transactionId == written.transaction.transactionId);
  CHECK(read.transaction.contextId == written.transaction.contextId);
  CHECK(read.transaction.version == 7);
  CHECK_FALSE(read.transaction.forgets);
  CHECK(read.participants == written.participants);
  CHECK(read.payloadHash == written.payloadHash);
  CHECK(read.decidedAt == written.decidedAt);
}

TEST_CASE("bytes that are no decision are refused", "[preserve]") {
  for (const std::string text : {"", "x", "\xA0", "\x83\x01\x02\x03"}) {
    CHECK_THROWS_AS(Decision::decode(lukhas::asBytes(text)), lukhas::Error);
  }
}

TEST_CASE("a decision without an end is open", "[preserve]") {
  DecisionReplay replay;
  replay.add(commitType, 4, decision("lukhas:c:1:1", "a", {"db", "files"}).encode());
  replay.add(commitType, 5, decision("lukhas:c:1:2", "b", {"db"}).encode());
  replay.add(endType, 6, lukhas::DecisionEnd{"lukhas:c:1:2", {}}.encode());
  const std::vector<DecisionReplay::Open> open = replay.open();
  REQUIRE(open.size() == 1);
  CHECK(open[0].lsn == 4);
  CHECK(open[0].remaining == std::set<std::string>{"db", "files"});
  CHECK(replay.all().size() == 2);
}

TEST_CASE("a later decision about the context says that its participants have done the earlier one",
          "[preserve]") {
  DecisionReplay replay;
  replay.add(commitType, 4, decision("lukhas:c:1:9", "a", {"db", "files"}).encode());
  replay.add(commitType, 5, decision("lukhas:c:2:1", "a", {"db"}).encode());
  replay.add(commitType, 6, decision("lukhas:c:1:9", "a", {"db", "files"}).encode());  // written again
  const std::vector<DecisionReplay::Open> open = replay.open();
  REQUIRE(open.size() == 2);
  CHECK(open[0].remaining == std::set<std::string>{"files"});
  CHECK(open[0].lsn == 6);
  CHECK(open[1].remaining == std::set<std::string>{"db"});
}

TEST_CASE("history keeps the newest entries over all contexts", "[preserve]") {
  lukhas::DecisionHistory history(2);
  history.add(decision("lukhas:c:1:1", "a", {"db"}));
  history.add(decision("lukhas:c:1:2", "b", {"db"}));
  history.add(decision("lukhas:c:1:3", "b", {"db"}));
  CHECK(history.size() == 2);
  CHECK(history.of("a").empty());
  CHECK(history.of("b").size() == 2);
}
