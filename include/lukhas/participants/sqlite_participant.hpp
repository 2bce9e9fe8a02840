// SqliteParticipant: keeps contexts in a SQLite database. Part of lukhas::sqlite.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lukhas/preserve/participant.hpp"

namespace lukhas {

// An embedded participant for two-phase commit: one file, no server.
//
//   co_await preserver.addParticipant(lukhas::SqliteParticipant::open("sqlite", "data/contexts.db"));
//
// What is in the database: the tables lukhas_contexts, lukhas_fence and lukhas_format, made by the first
// open. Other tables are left alone. Each row's facts have a checksum: when they are damaged, whoever asks
// for that context gets PreserveErrc::corrupt_snapshot, never "there is none". A payload that is damaged is
// given as it is, and does not match its payloadHash: so the preserver sees which version it was, and takes
// another participant's copy.
//
// Durable means: write-ahead log and synchronous=FULL, read back and checked by open(). A database that
// cannot have them (":memory:") is refused, because it could not keep a promise.
//
// Sharing. The database is locked only while a transaction is written, so other processes may read it, and
// even take part with a coordinator of their own. Whoever holds the write lock for more than 2 s makes open()
// fail with PreserveErrc::participant_locked, and other calls with participant_unavailable, both naming the
// path; so do a full disk, a read-only file and I/O errors with participant_unavailable and SQLite's words as
// `cause`. A prepare that fails leaves nothing behind. Damage to the file is PreserveErrc::corrupt_snapshot.
//
// Calls run one after the other on a thread of their own, never on the io_context, in the order in which they
// were made. The call of a cancelled caller still runs to its end. Destroying the participant waits for the
// call that runs, which is at most about 2 s plus the disk's own time; the others get Errc::closed. Any
// thread may call.
class SqliteParticipant final : public Participant {
 public:
  // The file, and the directories above it, are made by open().
  [[nodiscard]] static std::shared_ptr<SqliteParticipant> open(std::string name, std::string path);
  SqliteParticipant(const SqliteParticipant&) = delete;
  SqliteParticipant& operator=(const SqliteParticipant&) = delete;
  ~SqliteParticipant() override;

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }

  [[nodiscard]] asio::awaitable<void> open(Environment environment) override;
  [[nodiscard]] asio::awaitable<void> prepare(StoredContext context) override;
  [[nodiscard]] asio::awaitable<void> commit(TransactionRef transaction) override;
  [[nodiscard]] asio::awaitable<void> abort(TransactionRef transaction) override;
  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() override;
  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string contextId) override;
  [[nodiscard]] asio::awaitable<void> close() override;

 private:
  struct Session;

  SqliteParticipant(std::string name, std::string path);
  [[nodiscard]] std::shared_ptr<Session> session() const;
  [[nodiscard]] std::shared_ptr<Session> sessionIn(const Environment& environment);

  const std::string name_;
  const std::string path_;
  mutable std::mutex mutex_;
  std::shared_ptr<Session> session_;
};

}  // namespace lukhas
