// ParticipantUnderTest: one participant on storage of its own, which a rule opens again as often as it likes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/participant.hpp"

namespace lukhas::testing {

namespace detail {

// What a rule throws when it is broken: one sentence.
class RuleBroken final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void expect(bool holds, const std::string& otherwise) {
  if (!holds) throw RuleBroken(otherwise);
}

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

// Which member of `seen` is not as in `expected`; empty when all are.
[[nodiscard]] inline std::string difference(const StoredContext& seen, const StoredContext& expected) {
  const auto differs = [](const char* member, const auto& got, const auto& wanted) {
    return fmt::format("its {} is {} and not {}", member, got, wanted);
  };
  if (seen.transactionId != expected.transactionId) {
    return differs("transactionId", quotedText(seen.transactionId), quotedText(expected.transactionId));
  }
  if (seen.contextId != expected.contextId) {
    return differs("contextId", quotedText(seen.contextId), quotedText(expected.contextId));
  }
  if (seen.version != expected.version) return differs("version", seen.version, expected.version);
  if (seen.participants != expected.participants) return "its list of participants is another";
  if (seen.payload != expected.payload) {
    return fmt::format("its payload of {} bytes is not the one of {} bytes that was given",
                       seen.payload.size(), expected.payload.size());
  }
  if (seen.payloadHash != expected.payloadHash) {
    return differs("payloadHash", seen.payloadHash, expected.payloadHash);
  }
  if (seen.forgets != expected.forgets) return differs("forgets", seen.forgets, expected.forgets);
  return {};
}

inline void expectSame(const char* what, const std::optional<StoredContext>& seen,
                       const StoredContext& expected) {
  expect(seen.has_value(), fmt::format("context {} has no {}", quotedText(expected.contextId), what));
  const std::string wrong = difference(*seen, expected);
  expect(wrong.empty(), fmt::format("the {} of context {}: {}", what, quotedText(expected.contextId), wrong));
}

// The code with which a call fails; none when it does not.
[[nodiscard]] inline asio::awaitable<std::error_code> codeOf(asio::awaitable<void> call) {
  try {
    co_await std::move(call);
  } catch (const Error& error) {
    co_return error.code();
  }
  co_return std::error_code{};
}

class ParticipantUnderTest {
 public:
  // Gives a participant on the same storage each time.
  using Factory = std::function<std::shared_ptr<Participant>()>;

  ParticipantUnderTest(Environment env, Factory factory)
      : environment(std::move(env)), factory_(std::move(factory)), participant_(make(factory_)) {}

  [[nodiscard]] asio::awaitable<void> open() { return participant_->open(environment); }
  [[nodiscard]] asio::awaitable<void> restart() {
    co_await participant_->close();
    co_await restartWithoutClose();
  }
  // As when its program ends without a word.
  [[nodiscard]] asio::awaitable<void> restartWithoutClose() {
    participant_.reset();
    participant_ = make(factory_);
    co_await participant_->open(environment);
  }
  [[nodiscard]] Participant* operator->() const { return participant_.get(); }

  [[nodiscard]] asio::awaitable<void> store(StoredContext context) {
    co_await participant_->prepare(context);
    co_await participant_->commit(TransactionRef(context));
  }
  // Calls that run beside the rule: they keep the participant, also when the rule ends before them.
  [[nodiscard]] asio::awaitable<void> preparing(StoredContext context) const {
    return prepareOwned(participant_, std::move(context));
  }
  [[nodiscard]] asio::awaitable<void> committing(TransactionRef transaction) const {
    return commitOwned(participant_, std::move(transaction));
  }
  [[nodiscard]] asio::awaitable<std::error_code> prepareCode(StoredContext context) const {
    return codeOf(preparing(std::move(context)));
  }
  [[nodiscard]] asio::awaitable<void> expectPrepare(StoredContext context, PreserveErrc expected) {
    const std::string id = context.transactionId;
    const std::error_code code = co_await prepareCode(std::move(context));
    expectCode("prepare", id, code, expected);
  }
  [[nodiscard]] asio::awaitable<void> expectCommit(TransactionRef transaction, PreserveErrc expected) {
    const std::string id = transaction.transactionId;
    const std::error_code code = co_await codeOf(participant_->commit(std::move(transaction)));
    expectCode("commit", id, code, expected);
  }
  [[nodiscard]] asio::awaitable<void> expectCommitted(StoredContext expected) {
    const ContextCopies copies = co_await participant_->read(expected.contextId);
    expectSame("committed state", copies.committed, expected);
  }
  [[nodiscard]] asio::awaitable<void> expectIntent(StoredContext expected) {
    const ContextCopies copies = co_await participant_->read(expected.contextId);
    expectSame("intent", copies.intent, expected);
  }
  [[nodiscard]] asio::awaitable<void> expectNothing(std::string contextId) {
    const ContextCopies copies = co_await participant_->read(contextId);
    expect(!copies.committed, fmt::format("context {} has a committed state", quotedText(contextId)));
    expect(!copies.intent, fmt::format("context {} has an intent", quotedText(contextId)));
  }
  [[nodiscard]] asio::awaitable<void> expectIntents(std::size_t count) {
    const std::vector<StoredContext> intents = co_await participant_->inDoubt();
    expect(intents.size() == count,
           fmt::format("inDoubt() gives {} intents where there are {}", intents.size(), count));
  }

  const Environment environment;

 private:
  [[nodiscard]] static asio::awaitable<void> prepareOwned(std::shared_ptr<Participant> participant,
                                                          StoredContext context) {
    co_await participant->prepare(std::move(context));
  }
  [[nodiscard]] static asio::awaitable<void> commitOwned(std::shared_ptr<Participant> participant,
                                                         TransactionRef transaction) {
    co_await participant->commit(std::move(transaction));
  }
  [[nodiscard]] static std::shared_ptr<Participant> make(const Factory& factory) {
    std::shared_ptr<Participant> participant = factory();
    expect(participant != nullptr, "the factory gave no participant");
    return participant;
  }
  static void expectCode(const char* call, const std::string& transactionId, const std::error_code& code,
                         PreserveErrc expected) {
    if (code == expected) return;
    const std::string seen = code ? fmt::format("failed with '{}'", code.message()) : "succeeded";
    throw RuleBroken(fmt::format("{} of {} {}; it has to fail with '{}'", call, transactionId, seen,
                                 describeError(expected)));
  }

  Factory factory_;
  std::shared_ptr<Participant> participant_;
};

}  // namespace detail

}  // namespace lukhas::testing
