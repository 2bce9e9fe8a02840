// Participants that cost nothing, or a given time: what is measured is the preserver.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/preserve/participant.hpp"

namespace lukhas::bench {

// Says yes to everything and keeps nothing. `pace`: how long it takes to prepare, and to commit.
class IdleParticipant final : public Participant {
 public:
  explicit IdleParticipant(std::string name, Duration pace = Duration::zero())
      : name_(std::move(name)), pace_(pace) {}

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] asio::awaitable<void> open(Environment environment) override {
    environment_.emplace(std::move(environment));
    co_return;
  }
  [[nodiscard]] asio::awaitable<void> prepare(StoredContext) override { return work(); }
  [[nodiscard]] asio::awaitable<void> commit(TransactionRef) override { return work(); }
  [[nodiscard]] asio::awaitable<void> abort(TransactionRef) override { co_return; }
  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() override {
    co_return std::vector<StoredContext>();
  }
  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string) override { co_return ContextCopies(); }
  [[nodiscard]] asio::awaitable<void> close() override { co_return; }

 private:
  asio::awaitable<void> work() const {
    if (pace_ > Duration::zero()) co_await environment_->sleepFor(pace_);
  }

  std::string name_;
  Duration pace_;
  std::optional<Environment> environment_;
};

// Holds intents in memory until it is told what becomes of them.
class HoldingParticipant final : public Participant {
 public:
  explicit HoldingParticipant(std::string name) : name_(std::move(name)) {}

  void hold(StoredContext intent) { intents_[intent.contextId] = std::move(intent); }
  [[nodiscard]] std::size_t intents() const noexcept { return intents_.size(); }
  [[nodiscard]] std::size_t committed() const noexcept { return committed_; }

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] asio::awaitable<void> open(Environment) override { co_return; }
  [[nodiscard]] asio::awaitable<void> prepare(StoredContext context) override {
    hold(std::move(context));
    co_return;
  }
  [[nodiscard]] asio::awaitable<void> commit(TransactionRef transaction) override {
    committed_ += intents_.erase(transaction.contextId);
    co_return;
  }
  [[nodiscard]] asio::awaitable<void> abort(TransactionRef transaction) override {
    intents_.erase(transaction.contextId);
    co_return;
  }
  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() override {
    std::vector<StoredContext> all;
    for (const auto& [context, intent] : intents_) all.push_back(intent);
    co_return all;
  }
  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string) override { co_return ContextCopies(); }
  [[nodiscard]] asio::awaitable<void> close() override { co_return; }

 private:
  std::string name_;
  std::map<std::string, StoredContext> intents_;
  std::size_t committed_ = 0;
};

}  // namespace lukhas::bench
