// Participant: a storage system that takes part in two-phase commit. Implement it to add your own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/preserve/preserve_error.hpp"

namespace lukhas {

// One context's state, as a participant stores it. It declares a constructor so that it is no aggregate: g++
// 12 damages temporary aggregates that hold strings inside `co_await` expressions.
struct StoredContext {
  StoredContext() = default;

  std::string transactionId;      // ASCII, at most 200 bytes, never reused
  std::string contextId;          // 1 to 256 bytes, any bytes
  std::uint64_t version = 0;      // of the context: 1, 2, 3, …
  NameList participants;          // all that take part in this transaction
  std::string payload;            // the context as JSON text; empty when `forgets`
  std::uint64_t payloadHash = 0;  // XXH3-64 of payload; the participant stores it and returns it unchanged
  bool forgets = false;           // true: committing removes the context
};

// Which prepared transaction is meant.
struct TransactionRef {
  TransactionRef() = default;
  explicit TransactionRef(const StoredContext& context)
      : transactionId(context.transactionId),
        contextId(context.contextId),
        version(context.version),
        forgets(context.forgets) {}

  std::string transactionId;
  std::string contextId;
  std::uint64_t version = 0;
  bool forgets = false;
};

// What a participant holds of one context.
struct ContextCopies {
  std::optional<StoredContext> committed;  // the newest committed state, if any
  std::optional<StoredContext> intent;     // prepared, and neither committed nor aborted yet
};

// The contract. Every call is idempotent: after a crash on either side it is simply made again.
//
// open      Opens the system and checks that it can keep its promises. Called once by addParticipant; again
//           after close().
// prepare   Returning is a durable yes: the intent survives any crash, and commit() will succeed later,
//           however late. Any exception is a no. Refuses with PreserveErrc::conflict when the context has
//           another transaction's intent, or a committed version >= the one given. Preparing the same
//           transaction twice is a yes. Once abort() was called for a transaction, a prepare of it that
//           arrives later is refused.
// commit    Makes the intent the committed state, durably, in one step that a crash cannot halve, and removes
//           the intent. Without such an intent: returns when the committed version is >= the given one, or
//           when `forgets` and there is no such context (it was done before); otherwise
//           PreserveErrc::unknown_transaction.
// abort     Removes the intent, if there is one. An unknown transaction is not an error.
// inDoubt   Every intent that is held (payloads may be left empty).
// read      Both copies of one context. A reader asks the decision log what an intent is worth.
// close     Releases the system. What is prepared stays prepared.
//
// Calls may overlap, also for one context. Cancelling a call asks it to stop early; it may still take effect.
// Errors that will pass (busy, connection lost) are PreserveErrc::participant_unavailable: commit and abort
// are then tried again for as long as it takes.
class Participant {
 public:
  virtual ~Participant() = default;

  // The name under which calls refer to it; fixed for life.
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;

  [[nodiscard]] virtual asio::awaitable<void> open(Environment environment) = 0;
  [[nodiscard]] virtual asio::awaitable<void> prepare(StoredContext context) = 0;
  [[nodiscard]] virtual asio::awaitable<void> commit(TransactionRef transaction) = 0;
  [[nodiscard]] virtual asio::awaitable<void> abort(TransactionRef transaction) = 0;
  [[nodiscard]] virtual asio::awaitable<std::vector<StoredContext>> inDoubt() = 0;
  [[nodiscard]] virtual asio::awaitable<ContextCopies> read(std::string contextId) = 0;
  [[nodiscard]] virtual asio::awaitable<void> close() = 0;
};

}  // namespace lukhas
