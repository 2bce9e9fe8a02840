// Journal: what callers do: append, wait, close, look.
#pragma once

#include "lukhas/journal/journal.hpp"

namespace lukhas {

inline void Journal::requireUserType(std::uint8_t type) {
  if (type >= 1 && type < Record::bootType) return;
  nlohmann::json details{{"argument", "type"}, {"value", type}};
  throw Error(Errc::invalid_argument, fmt::format("a record's type is {}; allowed is 1 to 253", type),
              std::move(details));
}

inline std::shared_ptr<Journal::Ticket> Journal::State::enqueue(std::uint8_t type, Bytes payload,
                                                                std::shared_ptr<Ticket> ticket) {
  const std::size_t size = Record::encodedSize(payload.size());
  const std::size_t segmentRoom = options.segmentBytes - SegmentHeader::size - sealSize;
  const std::size_t room = std::min<std::size_t>(segmentRoom, options.maxQueuedBytes);
  bool begin = false;
  bool wake = false;
  {
    const std::lock_guard guard(mutex);
    if (closed) throw Error(JournalErrc::closed, fmt::format("journal '{}' is closed", directory));
    if (poison) std::rethrow_exception(poison);
    if (payload.size() > Record::maxPayloadBytes || size > room) {
      nlohmann::json details{{"size", payload.size()}, {"maximum", (room - Record::headerSize) / 8 * 8}};
      throw Error(JournalErrc::record_too_large,
                  fmt::format("a record of {} bytes does not fit a segment of {} or a queue of {}",
                              payload.size(), options.segmentBytes, options.maxQueuedBytes),
                  std::move(details));
    }
    if (queuedBytes + size > options.maxQueuedBytes) {
      nlohmann::json details{{"queuedBytes", queuedBytes}, {"maximum", options.maxQueuedBytes}};
      throw Error(JournalErrc::overloaded, fmt::format("{} bytes wait for the disk already", queuedBytes),
                  std::move(details));
    }
    queue.push_back({type, std::move(payload), ticket});
    queuedBytes += size;
    if (ticket) ++awaitedRecords;
    nextLsn.value += 1;
    ++counters.appends;
    begin = !std::exchange(flushing, true);
    wake = resting && !mayRest();
  }
  if (begin) startFlushing();
  if (wake) urgent.resumeAll();
  return ticket;
}

inline void Journal::State::requestDrop(Lsn first) {
  bool begin = false;
  {
    const std::lock_guard guard(mutex);
    dropBelow = std::max(dropBelow, first);
    begin = canDrop() && !std::exchange(flushing, true);
  }
  if (begin) startFlushing();
  wakeFlushing();
}

// Nothing in the queue that somebody waits for, nothing else to do, and no reason to hurry.
inline bool Journal::State::mayRest() const {
  return awaitedRecords == 0 && !queue.empty() && queuedBytes <= options.maxQueuedBytes / 2 && !closed &&
         !poison && !canDrop();
}

inline void Journal::State::wakeFlushing() {
  bool wake = false;
  {
    const std::lock_guard guard(mutex);
    wake = resting && !mayRest();
  }
  if (wake) urgent.resumeAll();
}

inline bool Journal::State::canDrop() const {
  if (closed || poison || dropFailed || segments.size() < 2) return false;
  return std::next(segments.begin())->second <= dropBelow;
}

inline Journal::Tickets Journal::State::takeQueue() {
  Tickets tickets;
  for (Queued& queued : queue) {
    if (queued.ticket) tickets.push_back(std::move(queued.ticket));
  }
  queue.clear();
  queuedBytes = 0;
  awaitedRecords = 0;
  return tickets;
}

inline void Journal::State::settle(const Tickets& tickets, const std::exception_ptr& error) {
  Tickets waiting;
  {
    const std::lock_guard guard(mutex);
    for (const std::shared_ptr<Ticket>& ticket : tickets) {
      if (std::exchange(ticket->settled, true)) continue;
      ticket->error = error;
      if (std::exchange(ticket->waiting, false)) waiting.push_back(ticket);
    }
  }
  for (const std::shared_ptr<Ticket>& ticket : waiting) ticket->resume();
}

// The disk is full, and nothing of the queue was written.
inline void Journal::State::refuseQueue(const std::exception_ptr& error) {
  Tickets refused;
  {
    const std::lock_guard guard(mutex);
    counters.refused += queue.size();
    refused = takeQueue();
    nextLsn = Lsn{durable.value + 1};
    diskFull = true;
  }
  settle(refused, error);
}

inline void Journal::State::poisonWith(const std::string& cause) {
  nlohmann::json details{{"directory", directory}, {"cause", cause}};
  const std::exception_ptr error = std::make_exception_ptr(
      Error(JournalErrc::poisoned, fmt::format("journal '{}' takes nothing more: {}", directory, cause),
            std::move(details)));
  Tickets waiting;
  Tickets queued;
  {
    const std::lock_guard guard(mutex);
    poison = error;
    waiting = std::exchange(inFlight, {});
    queued = takeQueue();
  }
  settle(waiting, error);
  settle(queued, error);
}

// Nothing more is written.
inline void Journal::State::abandon(const std::exception_ptr& error) {
  Tickets waiting;
  Tickets queued;
  std::unique_ptr<DirectoryLock> released;
  Segment last;
  {
    const std::lock_guard guard(mutex);
    closed = true;
    waiting = inFlight;
    queued = takeQueue();
    if (!flushing) {  // otherwise the end of the turn releases them
      released = std::move(directoryLock);
      last = std::exchange(current, {});
    }
  }
  settle(waiting, error);
  settle(queued, error);
  idle.close(error);
  wakeFlushing();
}

inline void Journal::State::shutDown() {
  abandon(std::make_exception_ptr(
      Error(JournalErrc::closed, fmt::format("journal '{}' was destroyed", directory))));
}

inline asio::awaitable<Lsn> Journal::awaitDurable(std::shared_ptr<State> state,
                                                  std::shared_ptr<Ticket> ticket) {
  State* const shared = state.get();
  Ticket* const mine = ticket.get();
  const auto arm = [shared, mine] {
    {
      const std::lock_guard guard(shared->mutex);
      if (!mine->settled) {
        mine->waiting = true;
        return;
      }
    }
    mine->resume();
  };
  const auto onCancel = [shared, mine] {
    const std::lock_guard guard(shared->mutex);
    return std::exchange(mine->waiting, false);
  };
  co_await ticket->wait(arm, onCancel);
  if (ticket->error) std::rethrow_exception(ticket->error);
  co_return ticket->lsn;
}

inline asio::awaitable<void> Journal::closeState(std::shared_ptr<State> state) {
  State* const shared = state.get();
  const auto isDone = [shared] {
    const std::lock_guard guard(shared->mutex);
    return !shared->flushing;
  };
  {
    const std::lock_guard guard(state->mutex);
    state->closed = true;
  }
  state->wakeFlushing();
  while (!isDone()) (void)co_await state->idle.wait(isDone);

  std::unique_ptr<DirectoryLock> released;
  Segment last;
  std::exception_ptr failure;
  {
    const std::lock_guard guard(state->mutex);
    released = std::move(state->directoryLock);
    last = std::exchange(state->current, {});
    failure = state->poison;
  }
  last.file.reset();
  released.reset();
  if (failure) std::rethrow_exception(failure);
}

inline JournalMetrics Journal::getMetrics() const {
  const std::lock_guard guard(state_->mutex);
  JournalMetrics metrics = state_->counters;
  metrics.segments = state_->segments.size();
  metrics.p99SyncMs = toMilliseconds(state_->syncTime.percentile(99));
  return metrics;
}

inline HealthReport Journal::healthCheck() const {
  HealthReport report;
  const std::lock_guard guard(state_->mutex);
  if (state_->poison) {
    report.report("poisoned", "a write to the journal failed; it takes nothing more until the next start", 1,
                  0);
  }
  if (state_->diskFull) {
    const auto refused = static_cast<double>(state_->counters.refused);
    report.report("disk_full",
                  fmt::format("no space for another segment; {} records were refused since the start",
                              state_->counters.refused),
                  refused, 0);
  }
  if (state_->dropFailed) {
    const auto segments = static_cast<double>(state_->segments.size());
    report.report("segments_kept",
                  fmt::format("removing a segment failed; all {} are kept until the next start",
                              state_->segments.size()),
                  segments, 1);
  }
  return report;
}

}  // namespace lukhas
