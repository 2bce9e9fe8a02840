// SqliteStore: the contract of Participant as SQL. Everything blocks; one call at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/participants/detail/abort_fence.hpp"
#include "lukhas/participants/detail/context_file.hpp"
#include "lukhas/participants/detail/context_file_name.hpp"
#include "lukhas/participants/detail/participant_errors.hpp"
#include "lukhas/preserve/participant.hpp"
#include "sqlite_connection.hpp"

namespace lukhas::detail {

// The open database with its compiled statements.
//
// Intents and committed states are rows of one table, so that a commit is an UPDATE of one number in a row
// that keeps its size: SQLite then overwrites one page, however long the payload is. `version` and
// `transaction_id` are for people; the program goes by `facts`, which have a checksum.
class SqliteStore {
 public:
  explicit SqliteStore(const ParticipantErrors& errors) : errors_(errors), connection_(errors_) {
    requireSetting("PRAGMA journal_mode=WAL", "wal");
    connection_.run("PRAGMA synchronous=FULL");
    requireSetting("PRAGMA synchronous", "2");
    makeTables();
    statements_.emplace(connection_);
    connection_.endOfOpening();
  }
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore() = default;

  void prepare(const StoredContext& context) {
    SqliteTransaction transaction(connection_);
    const std::optional<StoredContext> intent = find(context.contextId, isIntent);
    if (intent && intent->transactionId == context.transactionId) return;
    AbortFence fence = loadFence();
    if (const char* cause = fence.refusal(context.transactionId))
      throw errors_.refused(context.transactionId, cause);
    if (intent) throw errors_.heldByIntent(context, intent->transactionId);
    const std::optional<StoredContext> committed = find(context.contextId, isCommitted);
    if (committed && committed->version >= context.version)
      throw errors_.staleVersion(context, committed->version);
    if (fence.accept(context.transactionId)) storeFence(fence);
    insertIntent(context);
    transaction.commit();
  }

  void commit(const TransactionRef& ref) {
    SqliteTransaction transaction(connection_);
    const std::optional<StoredContext> intent = find(ref.contextId, isIntent);
    if (!intent || intent->transactionId != ref.transactionId) return expectDone(ref);
    change(statements_->remove, ref.contextId, isCommitted);
    change(intent->forgets ? statements_->remove : statements_->promote, ref.contextId, isIntent);
    transaction.commit();
  }

  void abort(const TransactionRef& ref) {
    SqliteTransaction transaction(connection_);
    AbortFence fence = loadFence();
    const bool fenced = fence.add(ref.transactionId);
    if (fenced) storeFence(fence);
    const std::optional<StoredContext> intent = find(ref.contextId, isIntent);
    const bool held = intent && intent->transactionId == ref.transactionId;
    if (held) change(statements_->remove, ref.contextId, isIntent);
    if (fenced || held) transaction.commit();
  }

  [[nodiscard]] std::vector<StoredContext> inDoubt() {
    std::vector<StoredContext> intents;
    SqliteStatement::Run run(statements_->intents);
    while (run.step()) intents.push_back(decodeFacts(run, "an intent"));
    return intents;
  }

  [[nodiscard]] ContextCopies read(const std::string& contextId) {
    ContextCopies copies;
    SqliteStatement::Run run(statements_->read, asBytes(contextId));
    while (run.step()) {
      StoredContext context = decodeFacts(run, contextId);
      context.payload = asText(run.bytes(2));
      (run.number(3) == isIntent ? copies.intent : copies.committed) = std::move(context);
    }
    return copies;
  }

  void closeQuickly() noexcept { connection_.closeQuickly(); }

 private:
  // Of a row. Zero and one are stored in the row's header alone: both take the same space.
  static constexpr std::int64_t isIntent = 0;
  static constexpr std::int64_t isCommitted = 1;

  struct Statements {
    explicit Statements(SqliteConnection& connection)
        : find(connection, "SELECT facts, facts_hash FROM lukhas_contexts WHERE context_id=? AND state=?"),
          read(connection,
               "SELECT facts, facts_hash, payload, state FROM lukhas_contexts WHERE context_id=?"),
          intents(connection, "SELECT facts, facts_hash FROM lukhas_contexts WHERE state=0"),
          insert(connection,
                 "INSERT INTO lukhas_contexts(context_id, state, version, transaction_id, facts, facts_hash,"
                 " payload) VALUES(?, 0, ?, ?, ?, ?, ?)"),
          promote(connection, "UPDATE lukhas_contexts SET state=1 WHERE context_id=? AND state=?"),
          remove(connection, "DELETE FROM lukhas_contexts WHERE context_id=? AND state=?"),
          loadFence(connection, "SELECT fence, hash FROM lukhas_fence WHERE id=1"),
          storeFence(connection, "INSERT OR REPLACE INTO lukhas_fence(id, fence, hash) VALUES(1, ?, ?)") {}

    SqliteStatement find;
    SqliteStatement read;
    SqliteStatement intents;
    SqliteStatement insert;
    SqliteStatement promote;
    SqliteStatement remove;
    SqliteStatement loadFence;
    SqliteStatement storeFence;
  };

  void requireSetting(const char* pragma, std::string_view expected) {
    SqliteStatement statement(connection_, pragma);
    SqliteStatement::Run run(statement);
    const std::string seen = run.step() ? std::string(asText(run.bytes(0))) : std::string("nothing");
    if (seen == expected) return;
    throw errors_.unavailable(fmt::format("it cannot promise to keep anything: {} gives '{}' and not '{}'",
                                          pragma, seen, expected));
  }

  void makeTables() {
    SqliteTransaction transaction(connection_);
    connection_.run("CREATE TABLE IF NOT EXISTS lukhas_format(version INTEGER NOT NULL)");
    SqliteStatement format(connection_, "SELECT version FROM lukhas_format");
    SqliteStatement::Run run(format);
    if (run.step()) {
      if (run.number(0) == formatVersion) return;
      throw errors_.unavailable(fmt::format("its tables have format {}; this program knows format {}",
                                            run.number(0), formatVersion));
    }
    connection_.run("INSERT INTO lukhas_format(version) VALUES(1)");
    connection_.run(
        "CREATE TABLE lukhas_contexts(context_id BLOB NOT NULL, state INTEGER NOT NULL,"
        " version INTEGER NOT NULL, transaction_id TEXT NOT NULL, facts BLOB NOT NULL,"
        " facts_hash INTEGER NOT NULL, payload BLOB NOT NULL, UNIQUE(context_id, state))");
    connection_.run("CREATE INDEX lukhas_intents ON lukhas_contexts(context_id) WHERE state=0");
    connection_.run(
        "CREATE TABLE lukhas_fence(id INTEGER PRIMARY KEY, fence BLOB NOT NULL, hash INTEGER NOT NULL)");
    transaction.commit();
  }

  [[nodiscard]] std::optional<StoredContext> find(const std::string& contextId, std::int64_t state) {
    SqliteStatement::Run run(statements_->find, asBytes(contextId), state);
    if (!run.step()) return std::nullopt;
    return decodeFacts(run, contextId);
  }
  // Of the first two columns.
  [[nodiscard]] StoredContext decodeFacts(SqliteStatement::Run& run, const std::string& contextId) const {
    const ByteView facts = run.bytes(0);
    const std::string where = "the row of context " + contextFileName(contextId);
    if (hash64(facts) != static_cast<std::uint64_t>(run.number(1)))
      throw errors_.corrupt(where, "its facts do not match their checksum");
    try {
      return decodeContextFacts(facts);
    } catch (const Error& error) {
      throw errors_.corrupt(where, error.what());
    }
  }
  void insertIntent(const StoredContext& context) {
    const Bytes facts = encodeContextFacts(context);
    SqliteStatement::Run run(statements_->insert, asBytes(context.contextId),
                             static_cast<std::int64_t>(context.version),
                             std::string_view(context.transactionId), ByteView(facts),
                             static_cast<std::int64_t>(hash64(facts)), asBytes(context.payload));
    (void)run.step();
  }
  static void change(SqliteStatement& statement, const std::string& contextId, std::int64_t state) {
    SqliteStatement::Run run(statement, asBytes(contextId), state);
    (void)run.step();
  }

  void expectDone(const TransactionRef& ref) {
    const std::optional<StoredContext> committed = find(ref.contextId, isCommitted);
    if (committed ? committed->version < ref.version : !ref.forgets) throw errors_.unknownTransaction(ref);
  }

  [[nodiscard]] AbortFence loadFence() {
    SqliteStatement::Run run(statements_->loadFence);
    if (!run.step()) return {};
    const ByteView fence = run.bytes(0);
    if (hash64(fence) != static_cast<std::uint64_t>(run.number(1)))
      throw errors_.corrupt("lukhas_fence", "it does not match its checksum");
    try {
      return AbortFence::decode(fence);
    } catch (const Error& error) {
      throw errors_.corrupt("lukhas_fence", error.what());
    }
  }
  void storeFence(const AbortFence& fence) {
    const Bytes bytes = fence.encode();
    SqliteStatement::Run run(statements_->storeFence, ByteView(bytes),
                             static_cast<std::int64_t>(hash64(bytes)));
    (void)run.step();
  }

  static constexpr std::int64_t formatVersion = 1;

  ParticipantErrors errors_;
  SqliteConnection connection_;
  std::optional<Statements> statements_;  // compiled once the tables are there; gone before the connection
};

}  // namespace lukhas::detail
