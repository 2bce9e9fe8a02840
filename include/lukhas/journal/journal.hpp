// Journal: a write-ahead log with group commit.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <fmt/format.h>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/suspension.hpp"
#include "lukhas/async/wait_list.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/journal/disk.hpp"
#include "lukhas/journal/journal_error.hpp"
#include "lukhas/journal/journal_format.hpp"
#include "lukhas/journal/segment_chain.hpp"

namespace lukhas {

struct JournalOptions {
  // Size of a new segment file; its space is reserved before it is used. Bigger ones are made and dropped
  // less often; the last one is read and partly rewritten by each open. 4 KiB to 1 GiB.
  std::uint64_t segmentBytes = std::uint64_t{8} << 20U;
  // Records that wait for the disk, in bytes; one more is refused with JournalErrc::overloaded. 4 KiB to 1
  // GiB.
  std::size_t maxQueuedBytes = std::size_t{64} << 20U;
  // How long a record that nobody waits for may lie in memory, so that it is written and synced together with
  // one that somebody does wait for. Zero: it is written at once. 0 to 1 min.
  Duration restTime = std::chrono::milliseconds(10);
};

struct JournalMetrics {
  std::uint64_t appends = 0;
  std::uint64_t refused = 0;
  std::uint64_t groups = 0;
  std::uint64_t bytesWritten = 0;
  std::uint64_t segments = 0;
  double p99SyncMs = 0;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("appends", appends, "records appended"));
    visitor(counter("refused", refused, "records refused after they were queued, because the disk was full"));
    visitor(counter("groups", groups, "groups of records written and synced together"));
    visitor(counter("bytesWritten", bytesWritten, "bytes written to segments"));
    visitor(gauge("segments", segments, "segment files"));
    visitor(gauge("p99SyncMs", p99SyncMs, "99th percentile of writing and syncing a group, in milliseconds"));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }
};

// Records in a directory of segment files: appended in order, durable when the call returns, found again by
// the next open.
//
//   std::unique_ptr<Journal> journal = co_await Journal::open(env, disk, "data/journal");
//   for (const Record& record : journal->takeRecovered()) replay(record);
//   Lsn decided = co_await journal->appendDurable(type, payload);   // on disk now
//
// Guarantees. What appendDurable returned for is found by every later open; records keep their order; a
// record that was never appended is never found. A record whose call did not return may be found or not, but
// what one open has found, every later one finds too. A torn tail is cut; damage to what was durable is
// refused with file and offset (SegmentReader says how the two are told apart). Cancelling a caller of
// appendDurable never takes its record back.
//
// Group commit. While one group is being synced, later records gather, and go to disk together next. Each
// waiter is resumed once, on its own executor, in the order of the records. A group in which nobody waits for
// a record is put off for up to restTime: most of these records cost no sync of their own then.
//
// Failures. A failed write or sync poisons the journal: all who wait, and all later calls, get
// JournalErrc::poisoned, nothing is tried again, and the next open decides from what is on disk. A full disk
// is noticed when a segment is reserved, before anything is written: all records that are queued then get
// JournalErrc::disk_full and are certainly not there; later ones are taken as soon as there is space.
//
// Lifetime. close() waits for what is queued. Destroying the journal instead is like a crash for records that
// are not durable yet: their callers get JournalErrc::closed at once. It never waits; the directory stays
// locked until the write that is under way has ended. One journal a directory, guarded by a lock, also
// against other processes. A relative path is resolved by each call of the disk: do not change the process's
// working directory. Any thread may call.
class Journal {
 public:
  using Options = JournalOptions;

  // Finds what earlier lives left, and makes sure that it is on the disk. Fails with JournalErrc::locked,
  // not_writable, corrupt, foreign_segment, missing_segment, disk_full or io_failed; what is on the disk is
  // as good as before then.
  [[nodiscard]] static asio::awaitable<std::unique_ptr<Journal>> open(Environment environment,
                                                                      std::shared_ptr<Disk> disk,
                                                                      std::string directory,
                                                                      JournalOptions options = {});
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal() { state_->shutDown(); }

  // The records that open found, oldest first. Gives them once.
  [[nodiscard]] std::vector<Record> takeRecovered() { return std::exchange(state_->recovered, {}); }
  // 32 hexadecimal digits, made when the journal was.
  [[nodiscard]] const std::string& uuid() const noexcept { return state_->uuidText; }
  // Grows with each open; durable before open returns.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return state_->epoch; }

  // Queues a record and does not wait: it will be written with the next group, at the latest restTime after
  // the queue was empty. Nobody is told when that fails. `type` is 1 to 253.
  void append(std::uint8_t type, Bytes payload) {
    requireUserType(type);
    state_->enqueue(type, std::move(payload), nullptr);
  }
  // The same, and waits until it is durable. Queued when the call returns, before it is awaited.
  [[nodiscard]] asio::awaitable<Lsn> appendDurable(std::uint8_t type, Bytes payload) {
    requireUserType(type);
    return awaitDurable(state_, state_->enqueue(type, std::move(payload), std::make_shared<Ticket>()));
  }

  // Removes segments in which every record is older than `first`; the newest segment always stays. In the
  // background and as well as it goes: a failure is shown by healthCheck(), and segments are kept from then
  // on.
  void dropBefore(Lsn first) { state_->requestDrop(first); }
  // The LSN that the next record will have. Numbers of records that a full disk refused are given out again.
  [[nodiscard]] Lsn nextLsn() const {
    const std::lock_guard guard(state_->mutex);
    return state_->nextLsn;
  }
  // The newest record that is durable; 0: none. Whatever is appended from now on gets a higher LSN.
  [[nodiscard]] Lsn durableLsn() const {
    const std::lock_guard guard(state_->mutex);
    return state_->durable;
  }

  // Writes what is queued, then releases the directory. Throws JournalErrc::poisoned when the journal is,
  // after releasing it. Later calls, append included, get JournalErrc::closed.
  [[nodiscard]] asio::awaitable<void> close() { return closeState(state_); }

  [[nodiscard]] JournalMetrics getMetrics() const;
  [[nodiscard]] HealthReport healthCheck() const;

 private:
  static constexpr std::size_t sealSize = Record::encodedSize(8);

  // Somebody who waits for a record.
  struct Ticket : Suspension {
    Lsn lsn;
    bool waiting = false;  // suspended in it
    bool settled = false;
    std::exception_ptr error;
  };
  using Tickets = std::vector<std::shared_ptr<Ticket>>;
  struct Queued {
    std::uint8_t type = 0;
    Bytes payload;
    std::shared_ptr<Ticket> ticket;  // none: nobody waits
  };
  // Records that are written and synced together.
  struct Group {
    Bytes bytes;
    Lsn last;
    Tickets tickets;
  };
  // A file that takes records. It counts once it has its name (publish).
  struct Segment {
    std::shared_ptr<File> file;
    std::uint64_t number = 0;
    Lsn first;
    std::uint64_t size = 0;  // reserved for it
    std::uint64_t offset = SegmentHeader::size;

    [[nodiscard]] bool hasRoomFor(std::uint64_t bytes) const { return offset + bytes + sealSize <= size; }
  };
  class FlushTurn;

  struct State : std::enable_shared_from_this<State> {
    State(Environment env, std::shared_ptr<Disk> onDisk, std::string path, JournalOptions given)
        : environment(std::move(env)),
          disk(std::move(onDisk)),
          directory(std::move(path)),
          options(given),
          idle(environment),
          urgent(environment) {}

    const Environment environment;
    const std::shared_ptr<Disk> disk;
    const std::string directory;
    const JournalOptions options;
    // Set by open, constant afterwards.
    std::string uuid;      // 16 raw bytes
    std::string uuidText;  // the same as hexadecimal digits
    std::uint64_t epoch = 0;
    std::vector<Record> recovered;

    mutable std::mutex mutex;  // guards all below
    std::deque<Queued> queue;
    std::size_t queuedBytes = 0;
    std::size_t awaitedRecords = 0;  // of the queue, those that somebody waits for
    bool resting = false;            // the one who flushes waits for them
    Tickets inFlight;                // of the group that is being written
    Lsn nextLsn{1};                  // of the next record that is appended
    Lsn dropBelow{0};
    bool flushing = false;  // there is a FlushTurn
    bool closed = false;
    bool diskFull = false;    // the last attempt to reserve a segment failed
    bool dropFailed = false;  // segments are not removed any more
    std::exception_ptr poison;
    JournalMetrics counters;
    LatencyHistogram syncTime;
    WaitList idle;    // resumed when a turn ends
    WaitList urgent;  // resumed when the queue may rest no longer

    // Changed by the one who flushes (before the first turn: by open), who may therefore read them without
    // the mutex; others read them with it.
    std::unique_ptr<DirectoryLock> directoryLock;
    std::map<std::uint64_t, Lsn> segments;  // number → first LSN
    Segment current;
    Lsn durable{0};  // the newest record on disk

    std::shared_ptr<Ticket> enqueue(std::uint8_t type, Bytes payload, std::shared_ptr<Ticket> ticket);
    void requestDrop(Lsn first);
    void startFlushing();
    [[nodiscard]] bool tryEndFlushing();
    [[nodiscard]] Group takeGroup();
    void settle(const Tickets& tickets, const std::exception_ptr& error);
    void refuseQueue(const std::exception_ptr& error);
    void poisonWith(const std::string& cause);
    void abandon(const std::exception_ptr& error);
    void shutDown();

    void wakeFlushing();

    // With the mutex held.
    [[nodiscard]] bool canDrop() const;
    [[nodiscard]] bool mayRest() const;
    [[nodiscard]] Tickets takeQueue();

    [[nodiscard]] std::string pathOf(std::uint64_t number) const {
      return fmt::format("{}/{}", directory, segmentName(number));
    }
    // A segment that has no name of its own yet.
    [[nodiscard]] std::string temporaryPath() const { return directory + "/segment.new"; }
  };

  explicit Journal(std::shared_ptr<State> state) : state_(std::move(state)) {}

  static void requireUserType(std::uint8_t type);
  static asio::awaitable<Lsn> awaitDurable(std::shared_ptr<State> state, std::shared_ptr<Ticket> ticket);
  static asio::awaitable<void> closeState(std::shared_ptr<State> state);
  // impl/journal_flush.hpp
  static asio::awaitable<void> flush(FlushTurn turn);
  static asio::awaitable<void> rest(std::shared_ptr<State> state);
  static asio::awaitable<void> writeGroup(std::shared_ptr<State> state);
  static asio::awaitable<bool> roll(std::shared_ptr<State> state);
  static asio::awaitable<Segment> reserveSegment(std::shared_ptr<State> state, std::uint64_t number,
                                                 Lsn first, std::uint32_t previousChecksum);
  static asio::awaitable<void> publish(std::shared_ptr<State> state, std::shared_ptr<Segment> segment);
  static asio::awaitable<void> dropSegment(std::shared_ptr<State> state);
  // impl/journal_recovery.hpp
  struct Chain;
  static asio::awaitable<void> recover(std::shared_ptr<State> state);
  static asio::awaitable<void> beginJournal(std::shared_ptr<State> state);
  static asio::awaitable<Bytes> readSegment(std::shared_ptr<State> state, std::shared_ptr<Chain> chain,
                                            std::uint64_t number);
  static asio::awaitable<void> mendLastSegment(std::shared_ptr<State> state, std::shared_ptr<Chain> chain,
                                               Bytes bytes);

  std::shared_ptr<State> state_;
};

}  // namespace lukhas

#include "lukhas/journal/impl/journal.hpp"           // IWYU pragma: export
#include "lukhas/journal/impl/journal_flush.hpp"     // IWYU pragma: export
#include "lukhas/journal/impl/journal_recovery.hpp"  // IWYU pragma: export
