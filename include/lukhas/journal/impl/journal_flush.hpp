// Journal: the one who flushes: group commit, rolling and dropping of segments.
#pragma once

#include "lukhas/journal/journal.hpp"

namespace lukhas {

// The right to write to the disk. State::flushing says that there is one; it ends when there is nothing to
// do, so that an idle journal keeps nobody's io_context busy. One that is destroyed before its end (with the
// executor that it runs on, or is queued at) answers those who wait: nobody else ever would.
class Journal::FlushTurn {
 public:
  explicit FlushTurn(std::shared_ptr<State> state) : state_(std::move(state)) {}
  FlushTurn(FlushTurn&&) noexcept = default;
  ~FlushTurn() {
    if (!state_) return;
    {
      const std::lock_guard guard(state_->mutex);
      state_->flushing = false;
    }
    state_->abandon(std::make_exception_ptr(Error(
        JournalErrc::closed, fmt::format("the executor of journal '{}' was destroyed", state_->directory))));
  }

  [[nodiscard]] const std::shared_ptr<State>& state() const noexcept { return state_; }
  // False when there is something to do.
  [[nodiscard]] bool tryEnd() {
    if (!state_->tryEndFlushing()) return false;
    state_.reset();
    return true;
  }

 private:
  std::shared_ptr<State> state_;
};

// Posted, because a coroutine that is spawned on its own executor begins to run inside co_spawn.
inline void Journal::State::startFlushing() {
  environment.post([turn = FlushTurn(shared_from_this())]() mutable {
    const asio::any_io_executor executor = turn.state()->environment.executor();
    asio::co_spawn(executor, flush(std::move(turn)), asio::detached);
  });
}

inline bool Journal::State::tryEndFlushing() {
  std::unique_ptr<DirectoryLock> released;
  Segment last;
  {
    const std::lock_guard guard(mutex);
    if (!queue.empty() || canDrop()) return false;
    flushing = false;
    if (closed) {
      released = std::move(directoryLock);
      last = std::exchange(current, {});
    }
  }
  last.file.reset();
  released.reset();
  idle.resumeAll();
  return true;
}

inline asio::awaitable<void> Journal::flush(FlushTurn turn) {
  const std::shared_ptr<State> state = turn.state();
  while (!turn.tryEnd()) {
    std::string failure;
    try {
      co_await rest(state);
      co_await writeGroup(state);
    } catch (const std::exception& error) {
      failure = error.what();
    }
    if (!failure.empty()) state->poisonWith(failure);
    co_await dropSegment(state);
  }
}

// Puts a group off in which nobody waits for a record. Whoever makes it urgent says so; what is missed
// between the two looks at it is seen by the wait itself.
inline asio::awaitable<void> Journal::rest(std::shared_ptr<State> state) {
  State* const shared = state.get();
  {
    const std::lock_guard guard(state->mutex);
    if (state->options.restTime == Duration::zero() || !state->mayRest()) co_return;
    state->resting = true;
  }
  const TimePoint until = state->environment.after(state->options.restTime);
  (void)co_await state->urgent.waitUntil(until, [shared] {
    const std::lock_guard guard(shared->mutex);
    return !shared->mayRest();
  });
  const std::lock_guard guard(state->mutex);
  state->resting = false;
}

// What fits the segment, numbered and encoded. Empty when nothing is queued, or the first record does not
// fit.
inline Journal::Group Journal::State::takeGroup() {
  Group group;
  const std::lock_guard guard(mutex);
  group.last = durable;
  while (!queue.empty()) {
    Queued& queued = queue.front();
    const std::size_t size = Record::encodedSize(queued.payload.size());
    if (!current.hasRoomFor(group.bytes.size() + size)) break;
    group.last.value += 1;
    encodeRecord(group.bytes, uuid, queued.type, group.last, durable, queued.payload);
    if (queued.ticket) {
      --awaitedRecords;
      queued.ticket->lsn = group.last;
      group.tickets.push_back(std::move(queued.ticket));
    }
    queuedBytes -= size;
    queue.pop_front();
  }
  inFlight = group.tickets;
  return group;
}

// Writes and syncs what is queued now, as far as it fits the segment. What it throws poisons the journal.
inline asio::awaitable<void> Journal::writeGroup(std::shared_ptr<State> state) {
  Group group = state->takeGroup();
  if (group.bytes.empty()) {
    bool more = false;
    {
      const std::lock_guard guard(state->mutex);
      more = !state->queue.empty();
    }
    if (more) more = co_await roll(state);
    if (more) group = state->takeGroup();
    if (group.bytes.empty()) co_return;
  }
  const std::uint64_t size = group.bytes.size();
  const TimePoint begin = state->environment.now();
  co_await state->current.file->writeDurably(state->current.offset, std::move(group.bytes));
  {
    const std::lock_guard guard(state->mutex);
    state->current.offset += size;
    state->durable = group.last;
    state->inFlight.clear();
    ++state->counters.groups;
    state->counters.bytesWritten += size;
    state->syncTime.record(state->environment.now() - begin);
  }
  state->settle(group.tickets, nullptr);
}

// Seals the full segment and begins the next one. The new file is made first: when its space cannot be had,
// nothing of the journal was touched; the queue is refused, and the result is false.
inline asio::awaitable<bool> Journal::roll(std::shared_ptr<State> state) {
  const Lsn durable = state->durable;
  Bytes count;
  detail::putNumber(count, durable.value + 1 - state->current.first.value);
  Bytes seal;
  const std::uint32_t checksum = encodeRecord(seal, state->uuid, Record::sealType, durable, durable, count);
  const auto next = std::make_shared<Segment>();
  bool full = false;
  try {
    *next = co_await reserveSegment(state, state->current.number + 1, Lsn{durable.value + 1}, checksum);
  } catch (const Error& error) {
    if (error.code() != JournalErrc::disk_full) throw;
    full = true;
  }
  if (full) {
    nlohmann::json details{{"path", state->directory}};
    state->refuseQueue(std::make_exception_ptr(
        Error(JournalErrc::disk_full, fmt::format("no space for another segment in '{}'", state->directory),
              std::move(details))));
    co_return false;
  }
  co_await state->current.file->writeDurably(state->current.offset, std::move(seal));
  co_await publish(state, next);
  co_return true;
}

// A new segment with header and space, durable, under a temporary name: it does not count yet.
inline asio::awaitable<Journal::Segment> Journal::reserveSegment(std::shared_ptr<State> state,
                                                                 std::uint64_t number, Lsn first,
                                                                 std::uint32_t previousChecksum) {
  SegmentHeader header;
  header.uuid = state->uuid;
  header.number = number;
  header.firstLsn = first;
  header.previousChecksum = previousChecksum;
  header.epoch = state->epoch;
  Bytes encoded = header.encode();
  const std::string path = state->temporaryPath();
  Segment segment;
  std::exception_ptr failure;
  try {
    segment.file = co_await state->disk->open(path, OpenMode::create);
    co_await segment.file->preallocate(state->options.segmentBytes);
    co_await segment.file->writeDurably(0, std::move(encoded));
  } catch (const Error&) {
    failure = std::current_exception();
  }
  if (failure) {
    segment.file.reset();
    try {
      co_await state->disk->remove(path);  // gives back what space it got
    } catch (const Error&) {
      // The first failure says more. A file that is left is emptied by the next attempt, and removed by open.
    }
    std::rethrow_exception(failure);
  }
  segment.number = number;
  segment.first = first;
  segment.size = state->options.segmentBytes;
  co_return segment;
}

// Gives the segment its name, durably, and writes to it from now on.
inline asio::awaitable<void> Journal::publish(std::shared_ptr<State> state,
                                              std::shared_ptr<Segment> segment) {
  const std::string temporary = state->temporaryPath();
  const std::string path = state->pathOf(segment->number);
  co_await state->disk->rename(temporary, path);
  co_await state->disk->syncDirectory(state->directory);
  const std::lock_guard guard(state->mutex);
  state->segments[segment->number] = segment->first;
  state->current = std::move(*segment);
  state->diskFull = false;
}

// At most one at a time, oldest first, each durably gone before the next: the segments that are left never
// have a gap. After a failure nobody can say which names a crash would leave, so nothing more is removed.
inline asio::awaitable<void> Journal::dropSegment(std::shared_ptr<State> state) {
  std::uint64_t oldest = 0;
  {
    const std::lock_guard guard(state->mutex);
    if (!state->canDrop()) co_return;
    oldest = state->segments.begin()->first;
  }
  const std::string path = state->pathOf(oldest);
  bool failed = false;
  try {
    co_await state->disk->remove(path);
    co_await state->disk->syncDirectory(state->directory);
  } catch (const std::exception&) {
    failed = true;
  }
  const std::lock_guard guard(state->mutex);
  state->dropFailed = failed;
  if (!failed) state->segments.erase(oldest);
}

}  // namespace lukhas
