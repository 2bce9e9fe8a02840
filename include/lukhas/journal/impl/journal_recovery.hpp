// Journal: what open does with what it finds on disk.
#pragma once

#include "lukhas/journal/journal.hpp"

namespace lukhas {

namespace detail {

inline std::string toHex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

[[noreturn]] inline void throwJournalError(JournalErrc code, const std::string& file, std::uint64_t offset,
                                           std::string_view what) {
  nlohmann::json details{{"file", file}, {"offset", offset}};
  throw Error(code, fmt::format("'{}' at offset {}: {}", file, offset, what), std::move(details));
}

// The number in "segment-0000000007.log", written exactly so.
inline std::optional<std::uint64_t> segmentNumberOf(std::string_view name) {
  constexpr std::size_t prefix = std::string_view("segment-").size();
  std::uint64_t number = 0;
  if (name.size() <= prefix) return std::nullopt;
  (void)std::from_chars(name.data() + prefix, name.data() + name.size(), number);
  if (name != fmt::format("segment-{:010}.log", number)) return std::nullopt;
  return number;
}

}  // namespace detail

// Where reading stands, segment after segment.
struct Journal::Chain {
  Lsn next;                    // that the next segment has to begin with
  std::uint64_t checksum = 0;  // of the last record read, which the next segment has to name
  SegmentReader::End end = SegmentReader::End::sealed;
  std::size_t offset = 0;
  std::size_t provenOffset = 0;
  Segment segment;
};

inline asio::awaitable<std::unique_ptr<Journal>> Journal::open(Environment environment,
                                                               std::shared_ptr<Disk> disk,
                                                               std::string directory,
                                                               JournalOptions options) {
  requireOption("Journal", "segmentBytes", options.segmentBytes, 4096U, std::uint64_t{1} << 30U);
  requireOption("Journal", "maxQueuedBytes", options.maxQueuedBytes, 4096U, std::size_t{1} << 30U);
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
    if (const std::optional<std::uint64_t> number = detail::segmentNumberOf(name)) numbers.push_back(*number);
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
    } else if (chain->end != SegmentReader::End::sealed) {
      detail::throwJournalError(JournalErrc::corrupt, state->pathOf(numbers[i]), chain->offset,
                                "the segment ends before its seal");
    }
  }
}

inline asio::awaitable<void> Journal::beginJournal(std::shared_ptr<State> state) {
  for (int half = 0; half < 2; ++half) {
    const std::uint64_t random = state->environment.random();
    for (unsigned byte = 0; byte < 8; ++byte)
      state->uuid += static_cast<char>((random >> (8 * byte)) & 0xFFU);
  }
  state->uuidText = detail::toHex(state->uuid);
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
  const std::optional<SegmentHeader> header = SegmentHeader::decode(bytes);
  if (!header) detail::throwJournalError(JournalErrc::corrupt, path, 0, "the segment's header is damaged");
  if (state->segments.empty()) {  // what was before it has been dropped
    state->uuid = header->uuid;
    state->uuidText = detail::toHex(header->uuid);
    chain->next = header->firstLsn;
    chain->checksum = header->previousChecksum;
  }
  const bool follows = header->uuid == state->uuid && header->number == number &&
                       header->firstLsn == chain->next && header->previousChecksum == chain->checksum;
  if (!follows) {
    detail::throwJournalError(JournalErrc::foreign_segment, path, 0,
                              "it does not belong to this journal, or not at this place");
  }
  state->segments[number] = header->firstLsn;
  state->epoch = std::max(state->epoch, header->epoch);

  SegmentReader reader(bytes, state->uuid, header->firstLsn);
  while (const std::optional<ParsedRecord> record = reader.next()) {
    if (record->type == Record::bootType && record->payload.size() == 8) {
      state->epoch = std::max(state->epoch, detail::getNumber<std::uint64_t>(record->payload, 0));
      continue;
    }
    state->recovered.push_back(
        {record->type, record->lsn, record->durable, Bytes(record->payload.begin(), record->payload.end())});
  }
  if (reader.end() == SegmentReader::End::corrupt) {
    detail::throwJournalError(JournalErrc::corrupt, path, reader.offset(),
                              "a record that was durable is damaged");
  }
  chain->next = reader.nextLsn();
  chain->checksum = reader.checksum();
  chain->end = reader.end();
  chain->offset = reader.offset();
  chain->provenOffset = reader.provenOffset();
  chain->segment = Segment{std::move(file), number, header->firstLsn, bytes.size(), reader.offset()};
  co_return bytes;
}

// Puts on the disk, for certain, what was read in the last segment, and zeros behind it. All of it is written
// again, also where it seems to be there already: after a failed sync, memory may hold as clean what the disk
// does not (SegmentReader). That goes for the zeros too, which an earlier, failed attempt may have written
// over a torn tail; and for the names in the directory.
inline asio::awaitable<void> Journal::mendLastSegment(std::shared_ptr<State> state,
                                                      std::shared_ptr<Chain> chain, Bytes bytes) {
  const bool sealed = chain->end == SegmentReader::End::sealed;
  if (sealed) {
    bytes.resize(chain->offset);  // nothing behind a seal is ever read
  } else {
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(chain->offset), bytes.end(), std::byte{0});
    // A file that somebody copied without its reserved space: there has to be room for a seal.
    bytes.resize(std::max(bytes.size(), chain->offset + sealSize));
  }
  chain->segment.size = bytes.size();
  Bytes uncertain(bytes.begin() + static_cast<std::ptrdiff_t>(chain->provenOffset), bytes.end());
  co_await chain->segment.file->write(chain->provenOffset, std::move(uncertain));
  co_await chain->segment.file->sync();
  co_await state->disk->syncDirectory(state->directory);

  state->nextLsn = chain->next;
  state->durable = Lsn{chain->next.value - 1};
  state->current = chain->segment;
  if (!sealed) co_return;
  // The crash came between the seal and the next segment.
  const auto next = std::make_shared<Segment>();
  *next = co_await reserveSegment(state, chain->segment.number + 1, chain->next,
                                  static_cast<std::uint32_t>(chain->checksum));
  co_await publish(state, next);
}

}  // namespace lukhas
