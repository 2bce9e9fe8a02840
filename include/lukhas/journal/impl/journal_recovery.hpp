// Journal: what open does with what it finds on disk.
#pragma once

#include "lukhas/journal/journal.hpp"

namespace lukhas {

// Where reading stands, segment after segment.
struct Journal::Chain {
  SegmentChain read;
  Segment segment;  // the last one read
};

inline asio::awaitable<std::unique_ptr<Journal>> Journal::open(Environment environment,
                                                               std::shared_ptr<Disk> disk,
                                                               std::string directory,
                                                               JournalOptions options) {
  requireOption("Journal", "segmentBytes", options.segmentBytes, 4096U, std::uint64_t{1} << 30U);
  requireOption("Journal", "maxQueuedBytes", options.maxQueuedBytes, 4096U, std::size_t{1} << 30U);
  requireOption("Journal", "restTime", options.restTime, Duration::zero(), std::chrono::minutes(1));
  if (directory.empty()) directory = ".";
  auto state = std::make_shared<State>(environment, std::move(disk), std::move(directory), options);
  co_await state->disk->createDirectories(state->directory);
  state->directoryLock = co_await state->disk->lock(state->directory);
  co_await recover(state);

  // From here on this life's records can be told from earlier ones.
  state->epoch += 1;
  Bytes epoch;
  detail::putNumber(epoch, state->epoch);
  std::unique_ptr<Journal> journal(new Journal(state));
  const auto ticket = std::make_shared<Ticket>();
  state->enqueue(Record::bootType, std::move(epoch), ticket);
  (void)co_await awaitDurable(state, ticket);
  co_return journal;
}

inline asio::awaitable<void> Journal::recover(std::shared_ptr<State> state) {
  const std::vector<std::string> names = co_await state->disk->list(state->directory);
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : names) {
    if (const std::optional<std::uint64_t> number = segmentNumberOf(name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  if (std::find(names.begin(), names.end(), "segment.new") != names.end()) {
    const std::string neverCounted = state->temporaryPath();
    co_await state->disk->remove(neverCounted);
  }
  if (numbers.empty()) {
    co_await beginJournal(state);
    co_return;
  }
  const auto chain = std::make_shared<Chain>();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0 && numbers[i] != numbers[i - 1] + 1) {
      nlohmann::json details{{"number", numbers[i - 1] + 1}, {"path", state->directory}};
      throw Error(JournalErrc::missing_segment,
                  fmt::format("segment {} of journal '{}' is missing", numbers[i - 1] + 1, state->directory),
                  std::move(details));
    }
    Bytes bytes = co_await readSegment(state, chain, numbers[i]);
    if (i + 1 == numbers.size()) {
      co_await mendLastSegment(state, chain, std::move(bytes));
    } else {
      chain->read.requireSealed();
    }
  }
}

inline asio::awaitable<void> Journal::beginJournal(std::shared_ptr<State> state) {
  for (int half = 0; half < 2; ++half) {
    const std::uint64_t random = state->environment.random();
    for (unsigned byte = 0; byte < 8; ++byte)
      state->uuid += static_cast<char>((random >> (8 * byte)) & 0xFFU);
  }
  state->uuidText = toHex(asBytes(state->uuid));
  const auto first = std::make_shared<Segment>();
  *first = co_await reserveSegment(state, 1, Lsn{1}, 0);
  co_await publish(state, first);
}

// Reads a segment, checks that it follows the one before, and gives its bytes.
inline asio::awaitable<Bytes> Journal::readSegment(std::shared_ptr<State> state, std::shared_ptr<Chain> chain,
                                                   std::uint64_t number) {
  const std::string path = state->pathOf(number);
  std::shared_ptr<File> file = co_await state->disk->open(path, OpenMode::read_write);
  const std::uint64_t size = co_await file->size();
  Bytes bytes = co_await file->read(0, size);
  chain->read.read(number, path, bytes, [&](const ParsedRecord& record) {
    if (SegmentChain::epochOf(record)) return;
    state->recovered.push_back(
        {record.type, record.lsn, record.durable, Bytes(record.payload.begin(), record.payload.end())});
  });
  const SegmentChain& read = chain->read;
  state->uuid = read.uuid();
  state->uuidText = toHex(asBytes(state->uuid));
  state->epoch = read.epoch();
  state->segments[number] = read.firstLsn();
  chain->segment = Segment{std::move(file), number, read.firstLsn(), bytes.size(), read.offset()};
  co_return bytes;
}

// Puts on the disk, for certain, what was read in the last segment, and zeros behind it. All of it is written
// again, also where it seems to be there already: after a failed sync, memory may hold as clean what the disk
// does not (SegmentReader). That goes for the zeros too, which an earlier, failed attempt may have written
// over a torn tail; and for the names in the directory.
inline asio::awaitable<void> Journal::mendLastSegment(std::shared_ptr<State> state,
                                                      std::shared_ptr<Chain> chain, Bytes bytes) {
  const SegmentChain& read = chain->read;
  const bool sealed = read.end() == SegmentReader::End::sealed;
  if (sealed) {
    bytes.resize(read.offset());  // nothing behind a seal is ever read
  } else {
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(read.offset()), bytes.end(), std::byte{0});
    // A file that somebody copied without its reserved space: there has to be room for a seal.
    bytes.resize(std::max(bytes.size(), read.offset() + sealSize));
  }
  chain->segment.size = bytes.size();
  Bytes uncertain(bytes.begin() + static_cast<std::ptrdiff_t>(read.provenOffset()), bytes.end());
  co_await chain->segment.file->write(read.provenOffset(), std::move(uncertain));
  co_await chain->segment.file->sync();
  co_await state->disk->syncDirectory(state->directory);

  state->nextLsn = read.nextLsn();
  state->durable = Lsn{read.nextLsn().value - 1};
  state->current = chain->segment;
  if (!sealed) co_return;
  // The crash came between the seal and the next segment.
  const auto next = std::make_shared<Segment>();
  *next = co_await reserveSegment(state, chain->segment.number + 1, read.nextLsn(), read.checksum());
  co_await publish(state, next);
}

}  // namespace lukhas
