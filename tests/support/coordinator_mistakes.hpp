// The classic mistakes of coordinators, made by what lies between a sound one and its disk or participants.
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/journal/journal_scan.hpp"
#include "lukhas/preserve/decision_log.hpp"
#include "lukhas/preserve/participant.hpp"
#include "support/forwarding_disk.hpp"

namespace lukhas::test {

enum class CoordinatorMistake {
  none,
  commits_before_durable,  // participants are told before the record is on the disk
  retries_failed_sync,     // and believes the second answer
  aborts_after_decision,   // where a commit fails
  forgets_early,           // a decision, before its participants have done it
  recovers_the_live,       // recovery does not ask what is under way
};

[[nodiscard]] constexpr const char* toString(CoordinatorMistake mistake) noexcept {
  switch (mistake) {
    case CoordinatorMistake::none: return "none";
    case CoordinatorMistake::commits_before_durable: return "commits before the record is durable";
    case CoordinatorMistake::retries_failed_sync: return "retries a failed sync";
    case CoordinatorMistake::aborts_after_decision: return "aborts after the decision";
    case CoordinatorMistake::forgets_early: return "forgets a decision early";
    case CoordinatorMistake::recovers_the_live: return "recovers what is live";
  }
  return "?";
}

// The log's sync as such a coordinator would use it.
class MistakenFile final : public ForwardingFile {
 public:
  MistakenFile(std::shared_ptr<File> file, Environment environment, CoordinatorMistake mistake)
      : ForwardingFile(std::move(file)), environment_(std::move(environment)), mistake_(mistake) {}

  asio::awaitable<void> sync() override {
    if (mistake_ == CoordinatorMistake::commits_before_durable) return syncBehind(environment_, file());
    if (mistake_ == CoordinatorMistake::retries_failed_sync) return syncTwice(file());
    return file()->sync();
  }

 private:
  static asio::awaitable<void> syncSoon(Environment environment, std::shared_ptr<File> file) {
    co_await environment.sleepFor(std::chrono::milliseconds(5));
    co_await file->sync();
  }
  static asio::awaitable<void> syncBehind(Environment environment, std::shared_ptr<File> file) {
    ChildTask<void> behind(environment, syncSoon(environment, std::move(file)));
    behind.detach();
    co_return;
  }
  static asio::awaitable<void> syncTwice(std::shared_ptr<File> file) {
    bool failed = false;
    try {
      co_await file->sync();
    } catch (const Error&) {
      failed = true;
    }
    if (failed) co_await file->sync();
  }

  Environment environment_;
  CoordinatorMistake mistake_;
};

class MistakenDisk final : public ForwardingDisk {
 public:
  MistakenDisk(std::shared_ptr<Disk> disk, Environment environment, CoordinatorMistake mistake)
      : ForwardingDisk(std::move(disk)), environment_(std::move(environment)), mistake_(mistake) {}

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    std::shared_ptr<File> file = co_await disk()->open(path, mode);
    co_return std::make_shared<MistakenFile>(std::move(file), environment_, mistake_);
  }

 private:
  Environment environment_;
  CoordinatorMistake mistake_;
};

// What a participant hears of such a coordinator.
class MistakenLink final : public Participant {
 public:
  MistakenLink(std::shared_ptr<Participant> participant, CoordinatorMistake mistake)
      : participant_(std::move(participant)), mistake_(mistake) {}

  [[nodiscard]] const std::string& name() const noexcept override { return participant_->name(); }
  [[nodiscard]] asio::awaitable<void> open(Environment environment) override {
    environment_ = std::make_shared<Environment>(environment);
    return participant_->open(std::move(environment));
  }
  [[nodiscard]] asio::awaitable<void> prepare(StoredContext context) override {
    return participant_->prepare(std::move(context));
  }
  [[nodiscard]] asio::awaitable<void> commit(TransactionRef transaction) override {
    if (mistake_ == CoordinatorMistake::forgets_early) {
      return commitBehind(environment_, participant_, std::move(transaction));
    }
    if (mistake_ == CoordinatorMistake::aborts_after_decision) {
      return commitOrAbort(participant_, std::move(transaction));
    }
    return participant_->commit(std::move(transaction));
  }
  [[nodiscard]] asio::awaitable<void> abort(TransactionRef transaction) override {
    return participant_->abort(std::move(transaction));
  }
  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() override {
    return participant_->inDoubt();
  }
  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string contextId) override {
    return participant_->read(std::move(contextId));
  }
  [[nodiscard]] asio::awaitable<void> close() override { return participant_->close(); }

 private:
  static asio::awaitable<void> commitOwned(std::shared_ptr<Participant> participant,
                                           TransactionRef transaction) {
    co_await participant->commit(std::move(transaction));
  }
  static asio::awaitable<void> commitBehind(std::shared_ptr<Environment> environment,
                                            std::shared_ptr<Participant> participant,
                                            TransactionRef transaction) {
    ChildTask<void> behind(*environment, commitOwned(std::move(participant), std::move(transaction)));
    behind.detach();
    co_return;
  }
  static asio::awaitable<void> commitOrAbort(std::shared_ptr<Participant> participant,
                                             TransactionRef transaction) {
    bool failed = false;
    try {
      co_await participant->commit(transaction);
    } catch (const Error& error) {
      if (error.code() == asio::error::operation_aborted) throw;
      failed = true;
    }
    if (failed) co_await participant->abort(transaction);
  }

  std::shared_ptr<Participant> participant_;
  CoordinatorMistake mistake_;
  std::shared_ptr<Environment> environment_;
};

// Aborts again and again, for some seconds, whatever is prepared and has no decision in the log yet.
inline asio::awaitable<void> recoverTheLive(Environment environment, std::shared_ptr<Disk> disk,
                                            std::vector<std::shared_ptr<Participant>> participants,
                                            std::string nameSpace) {
  const TimePoint end = environment.after(std::chrono::seconds(10));
  while (environment.now() < end) {
    co_await environment.sleepFor(std::chrono::milliseconds(1 + environment.random() % 50));
    try {
      std::set<std::string> decided;
      UniqueFunction<void(const ParsedRecord&)> note = [&decided](const ParsedRecord& record) {
        if (record.type != static_cast<std::uint8_t>(DecisionRecord::commit)) return;
        decided.insert(Decision::decode(record.payload).transaction.transactionId);
      };
      (void)co_await scanJournal(disk, "journal", std::move(note));
      for (const std::shared_ptr<Participant>& participant : participants) {
        const std::vector<StoredContext> intents = co_await participant->inDoubt();
        for (const StoredContext& intent : intents) {
          if (!intent.transactionId.starts_with(nameSpace + ':')) continue;
          const TransactionRef undecided(intent);
          if (!decided.contains(intent.transactionId)) co_await participant->abort(undecided);
        }
      }
    } catch (const Error& error) {
      if (error.code() == asio::error::operation_aborted) throw;
      // what is down or not there yet is looked at the next time
    }
  }
}

}  // namespace lukhas::test
