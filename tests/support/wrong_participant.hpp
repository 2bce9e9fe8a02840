// WrongParticipant: the contract of Participant in memory, with one mistake of your choice.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/transaction_id.hpp"

namespace lukhas::test {

enum class Mistake {
  none,
  forgets_intents_of_in_doubt,    // inDoubt() lists nothing
  shows_intents_as_committed,     // before the commit
  keeps_the_intent,               // after its commit
  fails_a_repeated_commit,        // with unknown_transaction
  commits_the_unknown,            // without an error
  keeps_the_intent_of_an_abort,   // abort does nothing
  aborts_whatever_it_holds,       // of the context, whoever prepared it
  forgets_aborts,                 // a late prepare is a yes
  forgets_aborts_at_a_restart,    // the same, but only then
  fences_by_sequence_alone,       // and so not what has no number
  ignores_epochs,                 // of coordinators
  replaces_intents,               // of other transactions
  takes_stale_versions,           // as a new one
  fails_a_repeated_prepare,       // with conflict
  forgets_by_keeping,             // a commit that forgets leaves the context
  calls_any_forgetting_done,      // though an older version is there
  keeps_versions_of_the_forgotten,// and refuses what begins again
  loses_intents_at_a_restart,     // they were in memory only
  loses_intents_without_close,    // close writes them down
  cuts_context_ids,               // at the first zero
  folds_the_case_of_ids,          // as some file systems do
  cuts_payloads,                  // at 64 KiB
  loses_facts,                    // the list of participants
  wraps_hashes,                   // a number with a sign
  checks_before_it_waits,         // prepares that overlap both win
  prepares_after_it_was_left,     // a cancelled prepare lands after its abort
  loses_what_is_left,             // a cancelled commit removes the intent and stores nothing
  opens_empty,                    // a second open() clears
  hangs,                          // no answer to a read
};

// What is on the disk of one of them. Owned by the test, as instances come and go.
struct WrongStorage {
  std::map<std::string, StoredContext> committed;
  std::map<std::string, StoredContext> intents;
  std::set<std::string> aborted;
  std::map<std::string, std::uint64_t> epochs;
  std::map<std::string, std::uint64_t> forgotten;  // versions
};

class WrongParticipant final : public Participant {
 public:
  WrongParticipant(Mistake mistake, std::shared_ptr<WrongStorage> storage)
      : mistake_(mistake), storage_(std::move(storage)) {}
  ~WrongParticipant() override {
    if (has(Mistake::loses_intents_without_close) && !closed_) storage_->intents.clear();
  }

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }

  [[nodiscard]] asio::awaitable<void> open(Environment environment) override {
    environment_.emplace(std::move(environment));
    closed_ = false;
    if (has(Mistake::opens_empty) && std::exchange(opened_, true)) storage_->intents.clear();
    co_return;
  }

  [[nodiscard]] asio::awaitable<void> prepare(StoredContext context) override {
    const std::string key = keyOf(context.contextId);
    if (has(Mistake::checks_before_it_waits)) {
      requireAcceptable(context, key);
      co_await travel();
    } else if (has(Mistake::prepares_after_it_was_left)) {
      auto late = [](std::shared_ptr<WrongStorage> storage, Environment environment, StoredContext left,
                     std::string at) -> asio::awaitable<void> {
        co_await environment.sleepFor(std::chrono::microseconds(500));
        storage->intents[at] = std::move(left);
      };
      requireAcceptable(context, key);
      ChildTask<void> writing(*environment_, late(storage_, *environment_, context, key));
      struct Detach {
        ChildTask<void>& task;
        ~Detach() { task.detach(); }
      } const detach{writing};
      co_await writing.join();
    } else {
      co_await travel();
      requireAcceptable(context, key);
    }
    if (has(Mistake::cuts_payloads) && context.payload.size() > 65'536) context.payload.resize(65'536);
    if (has(Mistake::loses_facts) && context.participants.size() > 100) context.participants = {};
    if (has(Mistake::wraps_hashes)) context.payloadHash &= ~(std::uint64_t{1} << 63U);
    storage_->intents[key] = std::move(context);
  }

  [[nodiscard]] asio::awaitable<void> commit(TransactionRef transaction) override {
    const std::string key = keyOf(transaction.contextId);
    const auto found = storage_->intents.find(key);
    if (found == storage_->intents.end() || found->second.transactionId != transaction.transactionId) {
      co_await travel();
      requireDone(transaction, key);
      co_return;
    }
    const StoredContext intent = found->second;
    if (has(Mistake::loses_what_is_left)) storage_->intents.erase(key);
    co_await travel();
    if (!has(Mistake::keeps_the_intent)) storage_->intents.erase(key);
    if (!intent.forgets) {
      storage_->committed[key] = intent;
    } else if (!has(Mistake::forgets_by_keeping)) {
      storage_->forgotten[key] = intent.version;
      storage_->committed.erase(key);
    }
  }

  [[nodiscard]] asio::awaitable<void> abort(TransactionRef transaction) override {
    co_await travel();
    const bool fenced = !has(Mistake::forgets_aborts) &&
                        (!has(Mistake::fences_by_sequence_alone) ||
                         TransactionId::parse(transaction.transactionId).has_value());
    if (fenced) storage_->aborted.insert(transaction.transactionId);
    const auto found = storage_->intents.find(keyOf(transaction.contextId));
    if (found == storage_->intents.end() || has(Mistake::keeps_the_intent_of_an_abort)) co_return;
    const bool own = found->second.transactionId == transaction.transactionId;
    if (own || has(Mistake::aborts_whatever_it_holds)) storage_->intents.erase(found);
  }

  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() override {
    co_await travel();
    std::vector<StoredContext> all;
    if (has(Mistake::forgets_intents_of_in_doubt)) co_return all;
    for (const auto& [key, intent] : storage_->intents) all.push_back(intent);
    co_return all;
  }

  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string contextId) override {
    co_await travel();
    if (has(Mistake::hangs)) co_await environment_->sleepFor(std::chrono::hours(24));
    ContextCopies copies;
    const std::string key = keyOf(contextId);
    if (const auto found = storage_->committed.find(key); found != storage_->committed.end())
      copies.committed = found->second;
    if (const auto held = storage_->intents.find(key); held != storage_->intents.end()) {
      copies.intent = held->second;
      if (has(Mistake::shows_intents_as_committed)) copies.committed = held->second;
    }
    co_return copies;
  }

  [[nodiscard]] asio::awaitable<void> close() override {
    closed_ = true;
    if (has(Mistake::loses_intents_at_a_restart)) storage_->intents.clear();
    if (has(Mistake::forgets_aborts_at_a_restart)) storage_->aborted.clear();
    co_return;
  }

 private:
  [[nodiscard]] bool has(Mistake mistake) const { return mistake_ == mistake; }
  [[nodiscard]] asio::awaitable<void> travel() const {
    return environment_->sleepFor(std::chrono::microseconds(100));
  }
  [[nodiscard]] std::string keyOf(std::string contextId) const {
    if (has(Mistake::cuts_context_ids)) return contextId.c_str();
    if (has(Mistake::folds_the_case_of_ids) && contextId == "A") return "a";
    return contextId;
  }

  void requireAcceptable(const StoredContext& context, const std::string& key) {
    const auto held = storage_->intents.find(key);
    const bool isHeld = held != storage_->intents.end();
    if (isHeld && held->second.transactionId == context.transactionId) {
      if (has(Mistake::fails_a_repeated_prepare)) throw Error(PreserveErrc::conflict, "it is prepared");
      return;
    }
    if (storage_->aborted.contains(context.transactionId)) {
      throw Error(PreserveErrc::refused, "it was aborted");
    }
    if (const std::optional<TransactionId> id = TransactionId::parse(context.transactionId)) {
      std::uint64_t& epoch = storage_->epochs[id->nameSpace + ':' + id->coordinator];
      if (id->epoch < epoch && !has(Mistake::ignores_epochs)) {
        throw Error(PreserveErrc::refused, "its coordinator has begun anew");
      }
      epoch = id->epoch;
    }
    if (isHeld && !has(Mistake::replaces_intents)) {
      throw Error(PreserveErrc::conflict, "another intent is there");
    }
    std::uint64_t newest = 0;
    if (const auto found = storage_->committed.find(key); found != storage_->committed.end())
      newest = found->second.version;
    if (has(Mistake::keeps_versions_of_the_forgotten)) newest = std::max(newest, storage_->forgotten[key]);
    if (newest >= context.version && !has(Mistake::takes_stale_versions)) {
      throw Error(PreserveErrc::conflict, "the version is not newer");
    }
  }

  void requireDone(const TransactionRef& transaction, const std::string& key) const {
    if (has(Mistake::commits_the_unknown)) return;
    const auto found = storage_->committed.find(key);
    const bool isThere = found != storage_->committed.end();
    bool done = isThere ? found->second.version >= transaction.version : transaction.forgets;
    if (has(Mistake::fails_a_repeated_commit)) done = false;
    if (has(Mistake::calls_any_forgetting_done) && transaction.forgets) done = true;
    if (!done) throw Error(PreserveErrc::unknown_transaction, "it knows nothing of that transaction");
  }

  const std::string name_ = "wrong";
  const Mistake mistake_;
  const std::shared_ptr<WrongStorage> storage_;
  std::optional<Environment> environment_;
  bool closed_ = false;
  bool opened_ = false;
};

}  // namespace lukhas::test
