// The little of SQLite's interface that is used, with errors as exceptions. Everything blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "lukhas/core/bytes.hpp"
#include "lukhas/participants/detail/participant_errors.hpp"

namespace lukhas::detail {

// An open database. It may be locked by others for so long before a call gives up.
class SqliteConnection {
 public:
  static constexpr int busyTimeoutMs = 2000;

  explicit SqliteConnection(const ParticipantErrors& errors) : errors_(errors) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    const int status = sqlite3_open_v2(errors_.path().c_str(), &database_, flags, nullptr);
    if (status != SQLITE_OK) {
      const Error error = errorOf(status, "open");
      sqlite3_close_v2(database_);
      throw error;
    }
    sqlite3_extended_result_codes(database_, 1);
    sqlite3_busy_timeout(database_, busyTimeoutMs);
  }
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;
  ~SqliteConnection() { sqlite3_close_v2(database_); }

  // A fixed text, for settings and tables.
  void run(const char* sql) {
    const int status = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
    if (status != SQLITE_OK) throw errorOf(status, sql);
  }
  // From now on, a lock that others hold is an outage that passes.
  void endOfOpening() noexcept { opening_ = false; }
  // The write-ahead log then stays for the next open, instead of being worked off now.
  void closeQuickly() noexcept { sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }

  [[nodiscard]] Error errorOf(int status, const char* action) const {
    const std::string cause =
        fmt::format("{} ({}: {})", sqlite3_errmsg(database_), sqlite3_errstr(status), action);
    switch (status & 0xFF) {
      case SQLITE_BUSY:
      case SQLITE_LOCKED: return opening_ ? errors_.locked(cause) : errors_.unavailable(cause);
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB: return errors_.corrupt(errors_.path(), cause);
      default: return errors_.unavailable(cause);
    }
  }
  [[nodiscard]] sqlite3* get() const noexcept { return database_; }

 private:
  const ParticipantErrors& errors_;
  sqlite3* database_ = nullptr;
  bool opening_ = true;
};

// A compiled statement. Bind in the order of its question marks, then step; a Run does both and cleans up.
class SqliteStatement {
 public:
  SqliteStatement(SqliteConnection& connection, const char* sql) : connection_(connection), sql_(sql) {
    const int status =
        sqlite3_prepare_v3(connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
    if (status != SQLITE_OK) throw connection_.errorOf(status, sql);
  }
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;
  ~SqliteStatement() { sqlite3_finalize(statement_); }

  // One execution. What is bound must live as long. Columns and parameters count from 0.
  class Run {
   public:
    template <class... Values>
    explicit Run(SqliteStatement& statement, const Values&... values) : statement_(statement) {
      (bind(values), ...);
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() {
      sqlite3_reset(statement_.statement_);
      sqlite3_clear_bindings(statement_.statement_);
    }

    // False at the end of the rows.
    bool step() {
      const int status = sqlite3_step(statement_.statement_);
      if (status == SQLITE_ROW) return true;
      if (status != SQLITE_DONE) throw statement_.connection_.errorOf(status, statement_.sql_);
      return false;
    }
    // Valid until the next step.
    [[nodiscard]] ByteView bytes(int column) {
      const void* const data = sqlite3_column_blob(statement_.statement_, column);
      const int size = sqlite3_column_bytes(statement_.statement_, column);
      return {static_cast<const std::byte*>(data), data == nullptr ? 0U : static_cast<std::size_t>(size)};
    }
    [[nodiscard]] std::int64_t number(int column) {
      return sqlite3_column_int64(statement_.statement_, column);
    }

   private:
    // A null pointer would be bound as NULL, also when it means no bytes.
    void bind(ByteView bytes) {
      const void* const data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
      check(sqlite3_bind_blob64(statement_.statement_, ++bound_, data, bytes.size(), SQLITE_STATIC));
    }
    void bind(std::string_view text) {
      check(sqlite3_bind_text64(statement_.statement_, ++bound_, text.data(), text.size(), SQLITE_STATIC,
                                SQLITE_UTF8));
    }
    void bind(std::int64_t number) { check(sqlite3_bind_int64(statement_.statement_, ++bound_, number)); }
    void check(int status) const {
      if (status != SQLITE_OK) throw statement_.connection_.errorOf(status, statement_.sql_);
    }

    SqliteStatement& statement_;
    int bound_ = 0;
  };

 private:
  SqliteConnection& connection_;
  const char* sql_;
  sqlite3_stmt* statement_ = nullptr;
};

// Takes the write lock at once, so that it never has to be begun anew half way. Rolled back unless committed.
class SqliteTransaction {
 public:
  explicit SqliteTransaction(SqliteConnection& connection) : connection_(connection) {
    connection_.run("BEGIN IMMEDIATE");
  }
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;
  ~SqliteTransaction() {
    // After some errors SQLite has rolled back by itself.
    if (sqlite3_get_autocommit(connection_.get()) != 0) return;
    sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  void commit() { connection_.run("COMMIT"); }

 private:
  SqliteConnection& connection_;
};

}  // namespace lukhas::detail
