// Options and metrics of AtomicContextPreserver.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "lukhas/async/world.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/journal/disk.hpp"
#include "lukhas/preserve/transaction_id.hpp"

namespace lukhas {

// What becomes of a call that finds a bound reached.
enum class PreserveOverload {
  refuse,  // PreserveErrc::overloaded, at once
  wait,    // it waits for its turn, first come first served, within queueTimeout
};

struct AtomicContextPreserverOptions {
  // Where the transaction log lives: one directory a coordinator, locked while it runs. It is made when it is
  // missing. It must be kept: without it, what is prepared at the participants can no longer be decided. Not
  // empty.
  std::string journalDirectory = "lukhas-journal";
  // The disk that holds it. Null: the real one.
  std::shared_ptr<Disk> disk = nullptr;
  // Size of one file of the log, whose space is reserved before it is used. 4 KiB to 1 GiB.
  std::uint64_t journalSegmentBytes = std::uint64_t{8} << 20U;
  // How long the log keeps in memory that a transaction has ended, so that it is written together with the
  // next decision: see JournalOptions::restTime. A crash in between only repeats commits, which are
  // idempotent. 0 to 1 min.
  Duration journalRestTime = std::chrono::milliseconds(10);
  // Part of each transaction's id, so that applications that share a participant keep apart. 1 to 64 of
  // [A-Za-z0-9._-].
  std::string nameSpace = "lukhas";
  // How long a participant has to open its system when it is added, and to close it in stop(). 1 ms to 1 h.
  Duration openTimeout = std::chrono::seconds(30);
  // How long all participants together have to answer a prepare, or a read, before it counts as a no. 1 ms to
  // 1 h.
  Duration prepareTimeout = std::chrono::seconds(5);
  // How long a call waits for the log to take the decision, and how long it goes on telling participants to
  // commit before it returns with the rest as `pending`. 1 ms to 1 h.
  Duration commitTimeout = std::chrono::seconds(10);
  // How often it tries within that time, with exponential backoff in between. 1 to 100.
  unsigned commitAttempts = 3;
  // How long a call waits for earlier transactions of the same context, and for a place where the bounds
  // below are reached. 1 ms to 1 h.
  Duration queueTimeout = std::chrono::seconds(30);
  // How often recovery compares participants and log. 10 ms to 24 h.
  Duration recoveryInterval = std::chrono::seconds(30);
  // The longest pause between attempts to finish what is decided. 1 ms to 1 h.
  Duration longestRetryPause = std::chrono::seconds(15);
  // The largest encoded context. 1 to 256 MiB.
  std::size_t maxContextBytes = std::size_t{16} << 20U;
  // Transactions under way at once, over all contexts. 1 to 1,000,000.
  std::size_t maxConcurrent = 1024;
  // Decisions that are not applied everywhere yet; at this number no further transaction begins, so that a
  // participant that is down for long does not fill memory and log. 1 to 1,000,000.
  std::size_t maxInDoubt = 10'000;
  // Encoded contexts of the transactions under way, in bytes; and as many again of calls that wait for their
  // place. maxContextBytes to 1 TiB.
  std::size_t maxQueuedBytes = std::size_t{256} << 20U;
  // What a call gets that would go over one of these three bounds.
  PreserveOverload whenFull = PreserveOverload::refuse;
  // Calls that wait for a place at once; one more is refused with PreserveErrc::overloaded. 1 to 1,000,000.
  std::size_t maxWaiting = 10'000;
  // How many intents of one participant are worked off at once in the background. 1 to 1,024.
  unsigned recoveryConcurrency = 8;
  // Decisions that history() remembers, over all contexts. 0 to 10,000,000.
  std::size_t historyEntries = 10'000;
  // Contexts of the history whose copies are compared with the newest decision in each round of recovery, in
  // turn; recover() compares all. 0 to 1,000,000.
  std::size_t comparedContexts = 100;

  // Throws Errc::invalid_option.
  void check() const {
    using namespace std::chrono_literals;
    constexpr const char* who = "AtomicContextPreserver";
    requireOptionRule(who, "journalDirectory", journalDirectory, !journalDirectory.empty(), "a path");
    requireOption(who, "journalRestTime", journalRestTime, 0ms, 1min);
    requireOptionRule(who, "nameSpace", nameSpace, TransactionId::isName(nameSpace),
                      "1 to 64 of [A-Za-z0-9._-]");
    requireOption(who, "openTimeout", openTimeout, 1ms, 1h);
    requireOption(who, "prepareTimeout", prepareTimeout, 1ms, 1h);
    requireOption(who, "commitTimeout", commitTimeout, 1ms, 1h);
    requireOption(who, "commitAttempts", commitAttempts, 1U, 100U);
    requireOption(who, "queueTimeout", queueTimeout, 1ms, 1h);
    requireOption(who, "recoveryInterval", recoveryInterval, 10ms, 24h);
    requireOption(who, "longestRetryPause", longestRetryPause, 1ms, 1h);
    requireOption(who, "maxContextBytes", maxContextBytes, 1U, std::size_t{256} << 20U);
    requireOption(who, "maxConcurrent", maxConcurrent, 1U, 1'000'000U);
    requireOption(who, "maxInDoubt", maxInDoubt, 1U, 1'000'000U);
    requireOption(who, "maxQueuedBytes", maxQueuedBytes, maxContextBytes, std::size_t{1} << 40U);
    requireOption(who, "maxWaiting", maxWaiting, 1U, 1'000'000U);
    requireOption(who, "recoveryConcurrency", recoveryConcurrency, 1U, 1'024U);
    requireOption(who, "historyEntries", historyEntries, 0U, 10'000'000U);
    requireOption(who, "comparedContexts", comparedContexts, 0U, 1'000'000U);
  }
};

struct PreserverMetrics {
  std::uint64_t totalTransactions = 0;
  std::uint64_t successfulCommits = 0;
  std::uint64_t failedTransactions = 0;
  std::uint64_t rolledBack = 0;
  double avgLatencyMs = 0;
  double p99LatencyMs = 0;
  std::uint64_t orphanedContexts = 0;
  std::uint64_t inDoubt = 0;
  std::uint64_t recovered = 0;
  std::uint64_t corruptCopies = 0;
  std::uint64_t waitingCalls = 0;
  std::uint64_t queuedBytes = 0;
  std::map<std::string, double> phaseP50Ms;  // queue, read, prepare, decide, apply
  std::map<std::string, double> phaseP99Ms;
  std::map<std::string, double> prepareP50Ms;  // by participant, as the next four
  std::map<std::string, double> prepareP99Ms;
  std::map<std::string, double> commitP50Ms;
  std::map<std::string, double> commitP99Ms;
  std::map<std::string, std::uint64_t> participantFailures;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("totalTransactions", totalTransactions, "transactions that were begun"));
    visitor(
        counter("successfulCommits", successfulCommits, "transactions with a durable decision to commit"));
    visitor(counter("failedTransactions", failedTransactions, "transactions that ended in an error"));
    visitor(counter("rolledBack", rolledBack, "of these, the ones that were rolled back"));
    visitor(gauge("avgLatencyMs", avgLatencyMs, "mean time of a successful call in milliseconds"));
    visitor(gauge("p99LatencyMs", p99LatencyMs, "99th percentile of a successful call in milliseconds"));
    visitor(gauge("orphanedContexts", orphanedContexts,
                  "contexts that some participant does not hold as the log says"));
    visitor(gauge("inDoubt", inDoubt, "transactions whose end is open at a participant"));
    visitor(counter("recovered", recovered, "participants' intents that recovery resolved"));
    visitor(
        counter("corruptCopies", corruptCopies, "copies whose checksum did not match when they were read"));
    visitor(gauge("waitingCalls", waitingCalls, "calls that wait because a bound is reached"));
    visitor(gauge("queuedBytes", queuedBytes, "encoded contexts of the transactions under way, in bytes"));
    visitor(labelledGauge("phaseP50Ms", "phase", phaseP50Ms, "median time of each phase in milliseconds"));
    visitor(labelledGauge("phaseP99Ms", "phase", phaseP99Ms,
                          "99th percentile of each phase's time in milliseconds"));
    visitor(labelledGauge("prepareP50Ms", "participant", prepareP50Ms,
                          "median time of a prepare in milliseconds"));
    visitor(labelledGauge("prepareP99Ms", "participant", prepareP99Ms,
                          "99th percentile of a prepare's time in milliseconds"));
    visitor(
        labelledGauge("commitP50Ms", "participant", commitP50Ms, "median time of a commit in milliseconds"));
    visitor(labelledGauge("commitP99Ms", "participant", commitP99Ms,
                          "99th percentile of a commit's time in milliseconds"));
    visitor(labelledGauge("participantFailures", "participant", participantFailures,
                          "prepares and commits that failed since the participant was added"));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }
};

}  // namespace lukhas
