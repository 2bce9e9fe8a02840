// ParticipantUnderTest: one participant, on storage of its own, that a test can restart.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace lukhas::test {

[[nodiscard]] inline std::string transactionIdOf(std::uint64_t sequence, std::uint64_t epoch = 1) {
  return fmt::format("lukhas:c0ffee:{}:{}", epoch, sequence);
}

[[nodiscard]] inline StoredContext storedContext(std::string contextId, std::uint64_t version,
                                                 std::string transactionId) {
  StoredContext context;
  context.transactionId = std::move(transactionId);
  context.contextId = std::move(contextId);
  context.version = version;
  context.participants = NameList("db", "files");
  context.payload = fmt::format(R"({{"version":{}}})", version);
  context.payloadHash = hash64(asBytes(context.payload));
  return context;
}
[[nodiscard]] inline StoredContext forgettingContext(std::string contextId, std::uint64_t version,
                                                     std::string transactionId) {
  StoredContext context = storedContext(std::move(contextId), version, std::move(transactionId));
  context.payload.clear();
  context.payloadHash = hash64({});
  context.forgets = true;
  return context;
}

inline void checkSame(const std::optional<StoredContext>& seen, const StoredContext& expected) {
  REQUIRE(seen);
  CHECK(seen->transactionId == expected.transactionId);
  CHECK(seen->contextId == expected.contextId);
  CHECK(seen->version == expected.version);
  CHECK(seen->participants == expected.participants);
  CHECK((seen->payload == expected.payload));  // not printed: it may be big
  CHECK(seen->payloadHash == expected.payloadHash);
  CHECK(seen->forgets == expected.forgets);
}

// One participant on storage of its own, which a restart opens again.
class ParticipantUnderTest {
 public:
  // Gives a participant on the same storage each time.
  using Factory = std::function<std::shared_ptr<Participant>()>;

  ParticipantUnderTest(Environment env, Factory factory)
      : environment(std::move(env)), factory_(std::move(factory)), participant_(factory_()) {}

  [[nodiscard]] asio::awaitable<void> open() { return participant_->open(environment); }
  [[nodiscard]] asio::awaitable<void> restart() {
    co_await participant_->close();
    participant_.reset();
    participant_ = factory_();
    co_await participant_->open(environment);
  }
  [[nodiscard]] Participant& operator*() const { return *participant_; }
  [[nodiscard]] Participant* operator->() const { return participant_.get(); }

  [[nodiscard]] asio::awaitable<void> store(StoredContext context) {
    co_await participant_->prepare(context);
    co_await participant_->commit(TransactionRef(context));
  }
  // The code with which a call fails; none when it does not.
  [[nodiscard]] static asio::awaitable<std::error_code> codeOf(asio::awaitable<void> call) {
    try {
      co_await std::move(call);
    } catch (const Error& error) {
      co_return error.code();
    }
    co_return std::error_code{};
  }
  [[nodiscard]] asio::awaitable<std::error_code> prepareCode(StoredContext context) {
    return codeOf(participant_->prepare(std::move(context)));
  }
  [[nodiscard]] asio::awaitable<void> expectPrepare(StoredContext context, PreserveErrc expected) {
    const std::error_code code = co_await prepareCode(std::move(context));
    CHECK(code == expected);
  }
  [[nodiscard]] asio::awaitable<void> expectCommit(TransactionRef transaction, PreserveErrc expected) {
    const std::error_code code = co_await codeOf(participant_->commit(std::move(transaction)));
    CHECK(code == expected);
  }
  [[nodiscard]] asio::awaitable<void> expectCommitted(StoredContext expected) {
    ContextCopies copies = co_await participant_->read(expected.contextId);
    checkSame(copies.committed, expected);
  }
  [[nodiscard]] asio::awaitable<void> expectIntent(StoredContext expected) {
    ContextCopies copies = co_await participant_->read(expected.contextId);
    checkSame(copies.intent, expected);
  }
  [[nodiscard]] asio::awaitable<void> expectNothing(std::string contextId) {
    ContextCopies copies = co_await participant_->read(std::move(contextId));
    CHECK_FALSE(copies.committed);
    CHECK_FALSE(copies.intent);
  }
  [[nodiscard]] asio::awaitable<void> expectIntents(std::size_t count) {
    const std::vector<StoredContext> intents = co_await participant_->inDoubt();
    CHECK(intents.size() == count);
  }

  const Environment environment;

 private:
  Factory factory_;
  std::shared_ptr<Participant> participant_;
};

}  // namespace lukhas::test
