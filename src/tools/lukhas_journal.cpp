// lukhas-journal: looks into a journal, be it in use or not, and never writes.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/journal/journal_scan.hpp"
#include "lukhas/journal/posix_disk.hpp"
#include "lukhas/preserve/decision_log.hpp"

namespace {

using nlohmann::json;

constexpr const char* usage =
    "usage: lukhas-journal verify DIRECTORY    is it sound? exit status 0: yes, 1: damaged\n"
    "       lukhas-journal dump DIRECTORY      every record, a JSON object a line\n"
    "       lukhas-journal stat DIRECTORY      what there is, as one JSON object\n"
    "Reads only, takes no lock, and may run beside the process that has the journal open.\n"
    "Exit status 2: it could not be read, or the command line is not one of these.\n";

constexpr int sound = 0;
constexpr int damaged = 1;
constexpr int unreadable = 2;

void writeLine(const json& line) {
  // A context id may be any bytes: what is no UTF-8 is replaced, for a line has to be JSON.
  const std::string text = line.dump(-1, ' ', false, json::error_handler_t::replace);
  std::puts(text.c_str());
}

const char* nameOf(lukhas::SegmentReader::End end) {
  switch (end) {
    case lukhas::SegmentReader::End::open: return "open";
    case lukhas::SegmentReader::End::sealed: return "sealed";
    case lukhas::SegmentReader::End::torn: return "torn";
    case lukhas::SegmentReader::End::corrupt: return "corrupt";
  }
  return "unknown";
}

// As HistoryEntry::toJson has it, with what only the log knows.
json describeCommit(const lukhas::Decision& decision) {
  json line = decision.toHistory().toJson();
  line["payloadHash"] = fmt::format("{:016x}", decision.payloadHash);
  return line;
}

// False for a record of a type that is not the preserver's. Throws lukhas::Error for one that is none.
bool describeDecision(json& line, const lukhas::ParsedRecord& record) {
  switch (static_cast<lukhas::DecisionRecord>(record.type)) {
    case lukhas::DecisionRecord::commit:
      line.update(describeCommit(lukhas::Decision::decode(record.payload)));
      line["record"] = "commit";
      return true;
    case lukhas::DecisionRecord::commit_many:
      for (const lukhas::Decision& one : lukhas::Decision::decodeAll(record.type, record.payload)) {
        line["decisions"].push_back(describeCommit(one));
      }
      line["record"] = "commit_many";
      return true;
    case lukhas::DecisionRecord::end: {
      const lukhas::DecisionEnd end = lukhas::DecisionEnd::decode(record.payload);
      line["record"] = "end";
      line["transactionId"] = end.transactionId;
      for (const auto& [name, after] : end.appliedAfter) {
        line["appliedMs"][lukhas::cleanText(name)] = lukhas::toMilliseconds(after);
      }
      return true;
    }
    case lukhas::DecisionRecord::adopt: {
      const lukhas::Adoption adoption = lukhas::Adoption::decode(record.payload);
      line["record"] = "adopt";
      line["coordinator"] = adoption.coordinator;
      line["adoptedAt"] = lukhas::toRfc3339(adoption.adoptedAt);
      return true;
    }
  }
  return false;
}

// What a record of the preserver says, as far as it is one; others show their bytes.
void describe(json& line, const lukhas::ParsedRecord& record) {
  if (const std::optional<std::uint64_t> epoch = lukhas::SegmentChain::epochOf(record)) {
    line["record"] = "boot";
    line["epoch"] = *epoch;
    return;
  }
  try {
    if (describeDecision(line, record)) return;
  } catch (const lukhas::Error&) {
    // A record of another program that uses the journal.
  }
  line["payload"] = lukhas::toHex(record.payload);
}

void dump(const lukhas::ParsedRecord& record) {
  json line;
  line["lsn"] = record.lsn.value;
  line["durable"] = record.durable.value;
  line["type"] = record.type;
  line["bytes"] = record.payload.size();
  describe(line, record);
  writeLine(line);
}

json damageOf(const lukhas::JournalScan& scan) {
  if (!scan.damage) return nullptr;
  json damage = scan.damage->details();
  damage["what"] = scan.damage->what();
  return damage;
}

void stat(const lukhas::JournalScan& scan) {
  json all;
  all["uuid"] = scan.uuid;
  all["epoch"] = scan.epoch;
  all["records"] = scan.records;
  all["lastLsn"] = scan.lastLsn.value;
  all["torn"] = scan.isTorn();
  all["damage"] = damageOf(scan);
  all["segments"] = json::array();
  for (const lukhas::JournalScan::Segment& segment : scan.segments) {
    json one;
    one["number"] = segment.number;
    one["firstLsn"] = segment.firstLsn.value;
    one["records"] = segment.records;
    one["fileBytes"] = segment.fileBytes;
    one["usedBytes"] = segment.usedBytes;
    one["end"] = nameOf(segment.end);
    all["segments"].push_back(std::move(one));
  }
  writeLine(all);
}

void verify(const lukhas::JournalScan& scan) {
  if (scan.damage || scan.segments.empty()) return;  // damage is said to stderr
  const lukhas::JournalScan::Segment& last = scan.segments.back();
  fmt::print("sound: {} records in {} segments, the newest is {}", scan.records, scan.segments.size(),
             scan.lastLsn.value);
  if (scan.isTorn()) {
    fmt::print(
        "; an unfinished write at offset {} of segment {}: one that goes on just now, or one that a "
        "crash ended, which the next open cuts",
        last.usedBytes, last.number);
  }
  fmt::print("\n");
}

int run(std::string_view command, std::string directory) {
  asio::io_context io;
  const lukhas::Environment environment(io.get_executor());
  const auto disk = std::make_shared<lukhas::PosixDisk>(environment);
  lukhas::UniqueFunction<void(const lukhas::ParsedRecord&)> visit = [](const lukhas::ParsedRecord&) {};
  if (command == "dump") visit = dump;

  std::exception_ptr failure;
  std::optional<lukhas::JournalScan> scan;
  const auto finished = [&](std::exception_ptr error, lukhas::JournalScan found) {
    failure = std::move(error);
    scan = std::move(found);
  };
  asio::co_spawn(io, lukhas::scanJournal(disk, std::move(directory), std::move(visit)), finished);
  io.run();
  if (failure) std::rethrow_exception(failure);

  if (command == "stat") stat(*scan);
  if (command == "verify") verify(*scan);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "lukhas-journal: what was found could not be written to the standard output\n");
    return unreadable;
  }
  if (!scan->damage) return sound;
  fmt::print(stderr, "lukhas-journal: damaged: {}\n", scan->damage->what());
  return damaged;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 1 && (arguments[0] == "--help" || arguments[0] == "-h")) {
    std::fputs(usage, stdout);
    return sound;
  }
  const bool known =
      !arguments.empty() && (arguments[0] == "verify" || arguments[0] == "dump" || arguments[0] == "stat");
  if (!known || arguments.size() != 2 || arguments[1].empty()) {
    if (!known && !arguments.empty()) {
      fmt::print(stderr, "lukhas-journal: unknown command '{}' (known: verify, dump, stat)\n", arguments[0]);
    } else if (known) {
      fmt::print(stderr, "lukhas-journal: '{}' takes one directory\n", arguments[0]);
    }
    std::fputs(usage, stderr);
    return unreadable;
  }
  try {
    return run(arguments[0], arguments[1]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "lukhas-journal: {}\n", error.what());
    return unreadable;
  }
}
