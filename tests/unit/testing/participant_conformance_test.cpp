#include "lukhas/testing/participant_conformance.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lukhas/participants/directory_participant.hpp"
#include "support/catch.hpp"
#include "support/conformance.hpp"
#include "support/participant_directory.hpp"
#include "support/wrong_participant.hpp"

using namespace lukhas;
using test::Mistake;
using test::WrongParticipant;
using test::WrongStorage;
using testing::ConformanceReport;

namespace {

ConformanceReport reportOn(Mistake mistake) {
  Simulation world;
  std::map<std::string, std::shared_ptr<WrongStorage>> storages;
  return test::conformanceIn(world, [&storages, mistake](const std::string& storage) {
    std::shared_ptr<WrongStorage>& held = storages[storage];
    if (!held) held = std::make_shared<WrongStorage>();
    return std::make_shared<WrongParticipant>(mistake, held);
  });
}

bool breaks(const ConformanceReport& report, const std::string& rule) {
  for (const ConformanceReport::Rule& checked : report.rules) {
    if (checked.name == rule) return !checked.isKept();
  }
  return false;
}

struct Expectation {
  Mistake mistake;
  const char* rule;  // that catches it
};

const std::vector<Expectation>& expectations() {
  static const std::vector<Expectation> all{
      {Mistake::forgets_intents_of_in_doubt, "what is prepared is in doubt and not committed"},
      {Mistake::shows_intents_as_committed, "what is prepared is in doubt and not committed"},
      {Mistake::keeps_the_intent, "a commit replaces the committed state and removes the intent"},
      {Mistake::fails_a_repeated_commit, "a commit that is repeated succeeds and changes nothing"},
      {Mistake::commits_the_unknown, "a commit of what was never prepared is refused"},
      {Mistake::keeps_the_intent_of_an_abort, "an abort removes the intent and nothing else"},
      {Mistake::aborts_whatever_it_holds,
       "an abort of what is not known is no error and harms no other intent"},
      {Mistake::forgets_aborts, "a prepare that comes after its abort is refused"},
      {Mistake::forgets_aborts_at_a_restart, "a prepare that comes after its abort is refused"},
      {Mistake::fences_by_sequence_alone,
       "a prepare that comes after its abort is refused whatever its id looks like"},
      {Mistake::ignores_epochs, "a prepare of an earlier life of its coordinator is refused"},
      {Mistake::replaces_intents, "another transaction's intent is a conflict"},
      {Mistake::takes_stale_versions, "a version that is not newer is a conflict"},
      {Mistake::fails_a_repeated_prepare, "a prepare that is repeated is a yes"},
      {Mistake::forgets_by_keeping, "a commit that forgets removes the context"},
      {Mistake::calls_any_forgetting_done,
       "a commit that forgets is unknown while an older version is there"},
      {Mistake::keeps_versions_of_the_forgotten, "a forgotten context begins again"},
      {Mistake::loses_intents_at_a_restart, "what is prepared or committed survives a restart"},
      {Mistake::loses_intents_without_close,
       "what was answered survives an end of the program without close"},
      {Mistake::cuts_context_ids, "context ids of any bytes are kept apart"},
      {Mistake::folds_the_case_of_ids, "context ids of any bytes are kept apart"},
      {Mistake::cuts_payloads, "payloads and facts of any size come back unchanged"},
      {Mistake::loses_facts, "payloads and facts of any size come back unchanged"},
      {Mistake::wraps_hashes, "payloads and facts of any size come back unchanged"},
      {Mistake::checks_before_it_waits, "of overlapping prepares for one context exactly one wins"},
      {Mistake::prepares_after_it_was_left, "a cancelled prepare is undone by its abort"},
      {Mistake::loses_what_is_left, "a cancelled commit is finished by the next one"},
      {Mistake::opens_empty, "opening and closing again changes nothing"},
  };
  return all;
}

}  // namespace

namespace as_documented {

using MyParticipant = DirectoryParticipant;
using TemporaryDirectory = test::ParticipantDirectory;

// As in the header's comment.
TEST_CASE("my participant keeps the contract", "[testing]") {
  const TemporaryDirectory directory;
  const auto report = lukhas::testing::participantConformance([&](const std::string& storage) {
    return MyParticipant::open("mine", directory / storage);
  });
  INFO(report.describe());
  CHECK(report.passed());
}

}  // namespace as_documented

TEST_CASE("a participant without mistakes keeps every rule", "[testing]") {
  const ConformanceReport report = reportOn(Mistake::none);
  CHECK(report.describe() == "all 23 rules are kept\n");
  CHECK(report.passed());
}

TEST_CASE("each mistake is caught by the rule that forbids it", "[testing]") {
  for (const Expectation& expected : expectations()) {
    const ConformanceReport report = reportOn(expected.mistake);
    INFO("mistake " << static_cast<int>(expected.mistake) << ", rule: " << expected.rule << "\n"
                    << report.describe());
    CHECK(breaks(report, expected.rule));
    CHECK_FALSE(report.passed());
  }
}

TEST_CASE("every rule catches a mistake", "[testing]") {
  std::set<std::string> needed;
  for (const Expectation& expected : expectations()) needed.insert(expected.rule);
  for (const ConformanceReport::Rule& rule : reportOn(Mistake::none).rules) {
    INFO(rule.name);
    CHECK(needed.contains(rule.name));
  }
}

TEST_CASE("a participant that does not answer breaks a rule and does not stop the others", "[testing]") {
  const ConformanceReport report = reportOn(Mistake::hangs);
  CHECK_FALSE(report.passed());
  CHECK(report.rules.size() == 23);
  CHECK(report.describe().find("the rule did not finish within 60000 ms") != std::string::npos);
  CHECK_FALSE(breaks(report, "a prepare that comes after its abort is refused whatever its id looks like"));
}

TEST_CASE("a participant that hangs for good ends the suite in real time too", "[testing]") {
  std::map<std::string, std::shared_ptr<WrongStorage>> storages;
  const ConformanceReport report = testing::participantConformance(
      [&storages](const std::string& storage) {
        storages[storage] = std::make_shared<WrongStorage>();
        return std::make_shared<WrongParticipant>(Mistake::hangs, storages[storage]);
      },
      {.ruleTimeout = std::chrono::milliseconds(1)});
  CHECK_FALSE(report.passed());
}

TEST_CASE("a factory that fails is said with its words", "[testing]") {
  const ConformanceReport none =
      testing::participantConformance([](const std::string&) { return nullptr; });
  CHECK(none.describe().find("the factory gave no participant") != std::string::npos);
  const ConformanceReport thrown =
      testing::participantConformance([](const std::string& storage) -> std::shared_ptr<Participant> {
        throw Error(PreserveErrc::participant_unavailable, "no room for " + storage);
      });
  CHECK(thrown.describe().find("no room for rule-1\n") != std::string::npos);
  CHECK(thrown.rules.size() == 23);
}

TEST_CASE("a limit that is none is refused", "[testing]") {
  const auto factory = [](const std::string&) { return nullptr; };
  CHECK_THROWS_AS(testing::participantConformance(factory, {.ruleTimeout = Duration::zero()}), Error);
}
