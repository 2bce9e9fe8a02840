#include "lukhas/participants/directory_participant.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include <asio/io_context.hpp>

#include "support/conformance.hpp"
#include "support/participant_directory.hpp"

using namespace lukhas;
using namespace lukhas::test;

namespace {

using ParticipantPtr = std::shared_ptr<Participant>;

asio::awaitable<void> note(asio::awaitable<void> call, std::error_code& code, nlohmann::json& details) {
  try {
    co_await std::move(call);
  } catch (const Error& error) {
    code = error.code();
    details = error.details();
  }
}

struct Outcome {
  std::error_code code;
  nlohmann::json details;
};
Outcome outcomeOf(Simulation& world, asio::awaitable<void> call) {
  Outcome outcome;
  world.spawn(note(std::move(call), outcome.code, outcome.details));
  world.run();
  return outcome;
}

asio::awaitable<void> keep(ContextCopies& copies, asio::awaitable<ContextCopies> call) {
  copies = co_await std::move(call);
}
Outcome outcomeOfRead(Simulation& world, const ParticipantPtr& participant, ContextCopies& copies) {
  return outcomeOf(world, keep(copies, participant->read("a")));
}

asio::awaitable<void> storeTwoVersions(Environment environment, ParticipantPtr participant) {
  co_await participant->open(environment);
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  co_await participant->prepare(first);
  co_await participant->commit(TransactionRef(first));
  co_await participant->prepare(storedContext("a", 2, transactionIdOf(2)));
}

void flip(const std::string& path, std::streamoff offset, std::ios::seekdir from) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset, from);
  const int byte = file.get();
  REQUIRE(byte != EOF);
  file.seekp(offset, from);
  file.put(static_cast<char>(byte ^ 1));
}

}  // namespace

TEST_CASE("the directory participant keeps the contract on the system's disk", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  requireConformance(conformanceIn(world, [&directory](const std::string& storage) {
    return DirectoryParticipant::open("files", directory / ("not/there/" + storage));
  }));
}

TEST_CASE("the directory participant keeps the contract on an io_context", "[participants]") {
  const ParticipantDirectory directory;
  requireConformance(testing::participantConformance([&directory](const std::string& storage) {
    return DirectoryParticipant::open("files", directory / storage);
  }));
}

TEST_CASE("a directory that another participant uses is locked", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr holder = DirectoryParticipant::open("holder", directory / "files");
  const ParticipantPtr second = DirectoryParticipant::open("second", directory / "files");
  CHECK_FALSE(outcomeOf(world, holder->open(world.environment())).code);
  const Outcome refused = outcomeOf(world, second->open(world.environment()));
  CHECK(refused.code == PreserveErrc::participant_locked);
  CHECK(refused.details.value("participant", "") == "second");
  CHECK(refused.details.value("path", "") == directory / "files");
  CHECK_FALSE(outcomeOf(world, holder->close()).code);
  CHECK_FALSE(outcomeOf(world, second->open(world.environment())).code);
}

TEST_CASE("a directory participant that is not open is unavailable", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr files = DirectoryParticipant::open("files", directory / "files");
  const StoredContext context = storedContext("a", 1, transactionIdOf(1));
  CHECK(outcomeOf(world, files->prepare(context)).code == PreserveErrc::participant_unavailable);
  CHECK_FALSE(outcomeOf(world, files->close()).code);
  CHECK_FALSE(outcomeOf(world, files->open(world.environment())).code);
  CHECK_FALSE(outcomeOf(world, files->close()).code);
  CHECK(outcomeOf(world, files->prepare(context)).code == PreserveErrc::participant_unavailable);
}

TEST_CASE("a path that cannot be a directory is unavailable and named", "[participants]") {
  const ParticipantDirectory directory;
  std::ofstream(directory / "file") << "not a directory";
  Simulation world{{.seed = 1}};
  const ParticipantPtr files = DirectoryParticipant::open("files", directory / "file");
  const Outcome refused = outcomeOf(world, files->open(world.environment()));
  CHECK(refused.code == PreserveErrc::participant_unavailable);
  CHECK(refused.details.value("path", "") == directory / "file");
  CHECK_FALSE(refused.details.value("cause", "").empty());
}

TEST_CASE("a damaged head of a committed file is an error and not an absence", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr files = DirectoryParticipant::open("files", directory / "files");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), files)).code);
  flip(directory / "files/contexts/a", 30, std::ios::beg);
  ContextCopies copies;
  const Outcome read = outcomeOfRead(world, files, copies);
  CHECK(read.code == PreserveErrc::corrupt_snapshot);
  CHECK(read.details.value("damaged", "") == directory / "files/contexts/a");
  const TransactionRef second(storedContext("a", 2, transactionIdOf(2)));
  CHECK_FALSE(outcomeOf(world, files->abort(second)).code);
  const Outcome prepared = outcomeOf(world, files->prepare(storedContext("a", 2, transactionIdOf(3))));
  CHECK(prepared.code == PreserveErrc::corrupt_snapshot);
}

TEST_CASE("a damaged payload of a file is seen by its hash", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr files = DirectoryParticipant::open("files", directory / "files");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), files)).code);
  flip(directory / "files/contexts/a", -3, std::ios::end);
  std::filesystem::resize_file(directory / "files/staging/a.intent",
                               std::filesystem::file_size(directory / "files/staging/a.intent") - 1);
  ContextCopies copies;
  CHECK_FALSE(outcomeOfRead(world, files, copies).code);
  REQUIRE(copies.committed);
  CHECK(copies.committed->version == 1);
  CHECK(copies.committed->payloadHash != hash64(asBytes(copies.committed->payload)));
  REQUIRE(copies.intent);
  CHECK(copies.intent->version == 2);
  CHECK(copies.intent->payloadHash != hash64(asBytes(copies.intent->payload)));
}

TEST_CASE("a damaged intent or fence is refused by open with its file", "[participants]") {
  for (const char* name : {"a.intent", "aborted"}) {
    const ParticipantDirectory directory;
    Simulation world{{.seed = 1}};
    const ParticipantPtr files = DirectoryParticipant::open("files", directory / "files");
    CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), files)).code);
    CHECK_FALSE(outcomeOf(world, files->close()).code);
    const std::string path = (directory / "files/staging/") + name;
    flip(path, 26, std::ios::beg);
    const Outcome refused = outcomeOf(world, files->open(world.environment()));
    CHECK(refused.code == PreserveErrc::corrupt_snapshot);
    CHECK(refused.details.value("damaged", "") == path);
    flip(path, 26, std::ios::beg);
    CHECK_FALSE(outcomeOf(world, files->open(world.environment())).code);
  }
}

TEST_CASE("files that were being written are cleaned up and foreign ones left alone", "[participants]") {
  const ParticipantDirectory directory;
  std::filesystem::create_directories(directory / "files/staging");
  std::ofstream(directory / "files/staging/a.intent.3.tmp") << "half";
  std::ofstream(directory / "files/staging/README") << "by hand";
  Simulation world{{.seed = 1}};
  const ParticipantPtr files = DirectoryParticipant::open("files", directory / "files");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), files)).code);
  CHECK_FALSE(std::filesystem::exists(directory / "files/staging/a.intent.3.tmp"));
  CHECK(std::filesystem::exists(directory / "files/staging/README"));
}

TEST_CASE("an abort that a crash cut short is finished by open", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr files = DirectoryParticipant::open("files", directory / "files");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), files)).code);
  const std::string intent = directory / "files/staging/a.intent";
  std::filesystem::copy_file(intent, directory / "kept");
  const TransactionRef second(storedContext("a", 2, transactionIdOf(2)));
  CHECK_FALSE(outcomeOf(world, files->abort(second)).code);
  CHECK_FALSE(outcomeOf(world, files->close()).code);
  std::filesystem::copy_file(directory / "kept", intent);
  CHECK_FALSE(outcomeOf(world, files->open(world.environment())).code);
  ContextCopies copies;
  CHECK_FALSE(outcomeOfRead(world, files, copies).code);
  CHECK(copies.committed);
  CHECK_FALSE(copies.intent);
  CHECK_FALSE(std::filesystem::exists(intent));
}
