// The rules of Participant's contract, each a coroutine that any participant has to pass.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/testing/detail/participant_under_test.hpp"

namespace lukhas::testing::detail {

// What it demands, and the check of it, which throws RuleBroken. It begins with an open participant on
// storage that nobody has used.
struct ParticipantRule {
  const char* name;
  asio::awaitable<void> (*check)(ParticipantUnderTest&);
};

namespace rules {

using Tested = ParticipantUnderTest;
using Check = asio::awaitable<void>;

inline Check preparedIsInDoubt(Tested& tested) {
  const StoredContext context = storedContext("a", 1, transactionIdOf(1));
  co_await tested->prepare(context);
  const std::vector<StoredContext> intents = co_await tested->inDoubt();
  expect(intents.size() == 1, fmt::format("inDoubt() gives {} intents where there is one", intents.size()));
  StoredContext intent = intents[0];
  intent.payload = context.payload;  // which may be left out
  expectSame("intent that inDoubt() gives", intent, context);
  ContextCopies copies = co_await tested->read("a");
  expect(!copies.committed, "what is only prepared is read as committed");
  expectSame("intent", copies.intent, context);
}

inline Check commitReplaces(Tested& tested) {
  co_await tested.store(storedContext("a", 1, transactionIdOf(1)));
  const StoredContext second = storedContext("a", 2, transactionIdOf(2));
  co_await tested.store(second);
  co_await tested.expectCommitted(second);
  co_await tested.expectIntents(0);
  ContextCopies copies = co_await tested->read("a");
  expect(!copies.intent, "the intent is still there after its commit");
}

inline Check commitTwice(Tested& tested) {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  const StoredContext second = storedContext("a", 2, transactionIdOf(2));
  co_await tested.store(first);
  co_await tested->commit(TransactionRef(first));
  co_await tested.store(second);
  co_await tested->commit(TransactionRef(first));
  co_await tested->commit(TransactionRef(second));
  co_await tested.expectCommitted(second);
}

inline Check commitOfUnknown(Tested& tested) {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  co_await tested.expectCommit(TransactionRef(first), PreserveErrc::unknown_transaction);
  co_await tested.store(first);
  const StoredContext unknown = storedContext("a", 2, transactionIdOf(2));
  co_await tested.expectCommit(TransactionRef(unknown), PreserveErrc::unknown_transaction);
  const StoredContext other = storedContext("a", 2, transactionIdOf(3));
  co_await tested->prepare(other);
  co_await tested.expectCommit(TransactionRef(unknown), PreserveErrc::unknown_transaction);
  co_await tested.expectIntent(other);
  co_await tested.expectCommitted(first);
}

inline Check abortRemoves(Tested& tested) {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  const StoredContext second = storedContext("a", 2, transactionIdOf(2));
  co_await tested.store(first);
  co_await tested->prepare(second);
  co_await tested->abort(TransactionRef(second));
  co_await tested->abort(TransactionRef(second));
  co_await tested.expectIntents(0);
  co_await tested.expectCommitted(first);
  co_await tested.expectCommit(TransactionRef(second), PreserveErrc::unknown_transaction);
  co_await tested.store(storedContext("a", 2, transactionIdOf(3)));
}

inline Check abortOfUnknown(Tested& tested) {
  const StoredContext held = storedContext("a", 1, transactionIdOf(1));
  co_await tested->prepare(held);
  co_await tested->abort(TransactionRef(storedContext("b", 1, transactionIdOf(2))));
  co_await tested->abort(TransactionRef(storedContext("a", 1, transactionIdOf(3))));
  co_await tested.expectIntent(held);
}

inline Check latePrepare(Tested& tested) {
  const StoredContext before = storedContext("a", 1, transactionIdOf(1));
  const StoredContext never = storedContext("b", 1, transactionIdOf(2));
  co_await tested->prepare(before);
  co_await tested->abort(TransactionRef(before));
  co_await tested->abort(TransactionRef(never));
  co_await tested.expectPrepare(before, PreserveErrc::refused);
  co_await tested.expectPrepare(never, PreserveErrc::refused);
  co_await tested.restart();
  co_await tested.expectPrepare(before, PreserveErrc::refused);
  co_await tested.expectPrepare(never, PreserveErrc::refused);
  co_await tested.expectIntents(0);
  co_await tested.expectNothing("a");
}

inline Check lateForeignPrepare(Tested& tested) {
  const StoredContext foreign = storedContext("a", 1, "of another program");
  co_await tested->prepare(foreign);
  co_await tested->abort(TransactionRef(foreign));
  co_await tested.expectPrepare(foreign, PreserveErrc::refused);
  co_await tested.store(storedContext("a", 1, "of another program too"));
}

inline Check newEpoch(Tested& tested) {
  const StoredContext old = storedContext("a", 1, transactionIdOf(7, 1));
  co_await tested->prepare(old);
  co_await tested.store(storedContext("b", 1, transactionIdOf(1, 2)));
  co_await tested.expectPrepare(storedContext("c", 1, transactionIdOf(8, 1)), PreserveErrc::refused);
  co_await tested->prepare(storedContext("c", 1, "lukhas:another-one:1:8"));
  co_await tested->prepare(storedContext("d", 1, "space:c0ffee:1:8"));
  co_await tested->prepare(old);
  co_await tested.restart();
  co_await tested.expectPrepare(storedContext("e", 1, transactionIdOf(8, 1)), PreserveErrc::refused);
  co_await tested->commit(TransactionRef(old));
  co_await tested.expectCommitted(old);
}

inline Check anotherIntent(Tested& tested) {
  const StoredContext held = storedContext("a", 1, transactionIdOf(1));
  co_await tested->prepare(held);
  co_await tested.expectPrepare(storedContext("a", 1, transactionIdOf(2)), PreserveErrc::conflict);
  co_await tested.expectPrepare(storedContext("a", 2, transactionIdOf(3)), PreserveErrc::conflict);
  co_await tested.expectIntent(held);
  co_await tested.expectIntents(1);
}

inline Check staleVersion(Tested& tested) {
  const StoredContext committed = storedContext("a", 5, transactionIdOf(1));
  co_await tested.store(committed);
  co_await tested.expectPrepare(storedContext("a", 5, transactionIdOf(2)), PreserveErrc::conflict);
  co_await tested.expectPrepare(storedContext("a", 4, transactionIdOf(3)), PreserveErrc::conflict);
  co_await tested.expectPrepare(forgettingContext("a", 5, transactionIdOf(4)), PreserveErrc::conflict);
  co_await tested.expectIntents(0);
  co_await tested.expectCommitted(committed);
}

inline Check prepareTwice(Tested& tested) {
  const StoredContext context = storedContext("a", 1, transactionIdOf(1));
  co_await tested->prepare(context);
  co_await tested->prepare(context);
  co_await tested.expectIntents(1);
  co_await tested.restart();
  co_await tested->prepare(context);
  co_await tested.expectIntents(1);
  co_await tested.expectIntent(context);
}

inline Check forgetting(Tested& tested) {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  const StoredContext forget = forgettingContext("a", 2, transactionIdOf(2));
  co_await tested.store(first);
  co_await tested->prepare(forget);
  co_await tested.expectCommitted(first);
  co_await tested.expectIntent(forget);
  co_await tested->commit(TransactionRef(forget));
  co_await tested.expectNothing("a");
  co_await tested->commit(TransactionRef(forget));
  co_await tested.expectIntents(0);
}

inline Check forgettingUnknown(Tested& tested) {
  const StoredContext held = storedContext("a", 3, transactionIdOf(1));
  co_await tested.store(held);
  co_await tested.expectCommit(TransactionRef(forgettingContext("a", 4, transactionIdOf(2))),
                               PreserveErrc::unknown_transaction);
  co_await tested->commit(TransactionRef(forgettingContext("a", 2, transactionIdOf(3))));
  co_await tested.expectCommitted(held);
}

inline Check afterForgetting(Tested& tested) {
  co_await tested.store(storedContext("a", 1, transactionIdOf(1)));
  co_await tested.store(forgettingContext("a", 2, transactionIdOf(2)));
  const StoredContext again = storedContext("a", 1, transactionIdOf(3));
  co_await tested.store(again);
  co_await tested.expectCommitted(again);
}

inline Check restarts(Tested& tested) {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  const StoredContext second = storedContext("a", 2, transactionIdOf(2));
  const StoredContext forget = forgettingContext("b", 2, transactionIdOf(4));
  co_await tested.store(first);
  co_await tested.store(storedContext("b", 1, transactionIdOf(3)));
  co_await tested->prepare(second);
  co_await tested->prepare(forget);
  co_await tested.restart();
  co_await tested.expectIntents(2);
  co_await tested.expectIntent(second);
  co_await tested.expectCommitted(first);
  co_await tested->commit(TransactionRef(second));
  co_await tested->commit(TransactionRef(forget));
  co_await tested.restart();
  co_await tested.expectCommitted(second);
  co_await tested.expectNothing("b");
  co_await tested.expectIntents(0);
  co_await tested->commit(TransactionRef(second));
}

inline Check anyBytes(Tested& tested) {
  const std::vector<std::string> ids{"a",
                                     "A",
                                     ".",
                                     "..",
                                     "/",
                                     "a/b",
                                     "%61",
                                     "a.intent",
                                     "aborted",
                                     std::string("\0", 1),
                                     std::string("a\0b", 3),
                                     "\xff\xfe",
                                     "'; DROP TABLE contexts; --",
                                     std::string(256, 'x'),
                                     std::string(255, 'x') + "y",
                                     std::string(256, '\n')};
  for (std::uint64_t i = 0; i < ids.size(); ++i) {
    co_await tested.store(storedContext(ids[i], i + 1, transactionIdOf(2 * i)));
    co_await tested->prepare(storedContext(ids[i], i + 2, transactionIdOf(2 * i + 1)));
  }
  co_await tested.restart();
  co_await tested.expectIntents(ids.size());
  for (std::uint64_t i = 0; i < ids.size(); ++i) {
    co_await tested.expectCommitted(storedContext(ids[i], i + 1, transactionIdOf(2 * i)));
    co_await tested.expectIntent(storedContext(ids[i], i + 2, transactionIdOf(2 * i + 1)));
  }
}

inline Check anyPayload(Tested& tested) {
  StoredContext context = storedContext("a", 1, transactionIdOf(1));
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 1U << 20U}) {
    context.payload.assign(size, '\0');
    for (std::size_t i = 0; i < size; ++i) context.payload[i] = static_cast<char>(i * 7);
    context.payloadHash = hash64(asBytes(context.payload));
    context.transactionId = transactionIdOf(++context.version);
    co_await tested->prepare(context);
    co_await tested.expectIntent(context);
    co_await tested->commit(TransactionRef(context));
    co_await tested.expectCommitted(context);
  }
  context.version = std::numeric_limits<std::uint64_t>::max();
  context.payloadHash = std::numeric_limits<std::uint64_t>::max();
  context.transactionId = std::string(200, '~');
  for (int i = 0; i < 500; ++i) {
    std::vector<std::string> names = context.participants.names();
    names.push_back(fmt::format("participant number {}", i));
    context.participants = NameList(std::move(names));
  }
  co_await tested.store(context);
  co_await tested.restart();
  co_await tested.expectCommitted(context);
}

inline Check overlapping(Tested& tested) {
  constexpr std::uint64_t count = 20;
  std::vector<ChildTask<std::error_code>> votes;
  for (std::uint64_t i = 0; i < count; ++i) {  // two transactions for each context
    const std::string id = fmt::format("context {}", i / 2);
    votes.emplace_back(tested.environment, tested.prepareCode(storedContext(id, 1, transactionIdOf(i))));
  }
  for (std::uint64_t i = 0; i < count; i += 2) {
    const std::string id = fmt::format("context {}", i / 2);
    const std::error_code first = co_await votes[i].join();
    const std::error_code second = co_await votes[i + 1].join();
    const bool oneWins = (!first && second == PreserveErrc::conflict) ||
                         (!second && first == PreserveErrc::conflict);
    expect(oneWins, fmt::format("two prepares of context {} at once: '{}' and '{}'", quotedText(id),
                                first.message(), second.message()));
  }
  co_await tested.expectIntents(count / 2);
  const std::vector<StoredContext> intents = co_await tested->inDoubt();
  std::vector<ChildTask<void>> ends;
  for (const StoredContext& intent : intents) {
    ends.emplace_back(tested.environment, tested.committing(TransactionRef(intent)));
    ends.emplace_back(tested.environment, tested.committing(TransactionRef(intent)));
  }
  for (ChildTask<void>& end : ends) co_await end.join();
  co_await tested.expectIntents(0);
  for (const StoredContext& intent : intents)
    co_await tested.expectCommitted(storedContext(intent.contextId, 1, intent.transactionId));
}

inline Check cancelled(Tested& tested) {
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const StoredContext context = storedContext("a", i, transactionIdOf(i));
    {
      ChildTask<void> leaving(tested.environment, tested.preparing(context));
      (void)co_await leaving.joinUntil(tested.environment.after(std::chrono::microseconds(50) * i));
    }
    co_await tested->abort(TransactionRef(context));
    co_await tested.environment.sleepFor(std::chrono::milliseconds(1));
    co_await tested.expectNothing("a");
  }
  co_await tested.store(storedContext("a", 1, transactionIdOf(100)));
}

inline Check openTwice(Tested& tested) {
  const StoredContext context = storedContext("a", 1, transactionIdOf(1));
  co_await tested->prepare(context);
  co_await tested->open(tested.environment);
  co_await tested.expectIntent(context);
  co_await tested->close();
  co_await tested->close();
  co_await tested->open(tested.environment);
  co_await tested->commit(TransactionRef(context));
  co_await tested.expectCommitted(context);
}


inline Check cancelledCommit(Tested& tested) {
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const StoredContext context = storedContext("a", i, transactionIdOf(i));
    co_await tested->prepare(context);
    const TransactionRef decided(context);
    {
      ChildTask<void> leaving(tested.environment, tested.committing(decided));
      (void)co_await leaving.joinUntil(tested.environment.after(std::chrono::microseconds(50) * i));
    }
    co_await tested->commit(decided);
    co_await tested.expectCommitted(context);
    co_await tested.expectIntents(0);
  }
}

inline Check endOfProgram(Tested& tested) {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  const StoredContext second = storedContext("a", 2, transactionIdOf(2));
  co_await tested.store(first);
  co_await tested->prepare(second);
  co_await tested->abort(TransactionRef(storedContext("b", 1, transactionIdOf(3))));
  co_await tested.restartWithoutClose();
  co_await tested.expectCommitted(first);
  co_await tested.expectIntent(second);
  co_await tested.expectPrepare(storedContext("b", 1, transactionIdOf(3)), PreserveErrc::refused);
  co_await tested->commit(TransactionRef(second));
  co_await tested.restartWithoutClose();
  co_await tested.expectCommitted(second);
  co_await tested.expectIntents(0);
}

}  // namespace rules

[[nodiscard]] inline std::vector<ParticipantRule> participantRules() {
  using namespace rules;
  return {
      {"what is prepared is in doubt and not committed", preparedIsInDoubt},
      {"a commit replaces the committed state and removes the intent", commitReplaces},
      {"a commit that is repeated succeeds and changes nothing", commitTwice},
      {"a commit of what was never prepared is refused", commitOfUnknown},
      {"an abort removes the intent and nothing else", abortRemoves},
      {"an abort of what is not known is no error and harms no other intent", abortOfUnknown},
      {"a prepare that comes after its abort is refused", latePrepare},
      {"a prepare that comes after its abort is refused whatever its id looks like",
       lateForeignPrepare},
      {"a prepare of an earlier life of its coordinator is refused", newEpoch},
      {"another transaction's intent is a conflict", anotherIntent},
      {"a version that is not newer is a conflict", staleVersion},
      {"a prepare that is repeated is a yes", prepareTwice},
      {"a commit that forgets removes the context", forgetting},
      {"a commit that forgets is unknown while an older version is there", forgettingUnknown},
      {"a forgotten context begins again", afterForgetting},
      {"what is prepared or committed survives a restart", restarts},
      {"context ids of any bytes are kept apart", anyBytes},
      {"payloads and facts of any size come back unchanged", anyPayload},
      {"of overlapping prepares for one context exactly one wins", overlapping},
      {"a cancelled prepare is undone by its abort", cancelled},
      {"a cancelled commit is finished by the next one", cancelledCommit},
      {"what was answered survives an end of the program without close", endOfProgram},
      {"opening and closing again changes nothing", openTwice},
  };
}

}  // namespace lukhas::testing::detail
