// WholeSystem: a back end that holds conversations, in the simulated world, with everything that can go
// wrong.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/lukhas.hpp"
#include "lukhas/sim/simulation.hpp"

namespace test {

// What a variant of the back end does without. The suite must notice each.
enum class BrokenGuard { none, lock, two_phase_commit, expiry, ttl };

// A participant that does not wait for the decision: what it is asked to prepare, it commits.
class HastyParticipant final : public lukhas::Participant {
 public:
  explicit HastyParticipant(std::shared_ptr<lukhas::Participant> inner) : inner_(std::move(inner)) {}

  const std::string& name() const noexcept override { return inner_->name(); }
  asio::awaitable<void> open(lukhas::Environment environment) override { return inner_->open(environment); }
  asio::awaitable<void> prepare(lukhas::StoredContext context) override {
    lukhas::TransactionRef transaction(context);
    co_await inner_->prepare(std::move(context));
    co_await inner_->commit(std::move(transaction));
  }
  asio::awaitable<void> commit(lukhas::TransactionRef) override { co_return; }
  asio::awaitable<void> abort(lukhas::TransactionRef) override { co_return; }
  asio::awaitable<std::vector<lukhas::StoredContext>> inDoubt() override { return inner_->inDoubt(); }
  asio::awaitable<lukhas::ContextCopies> read(std::string contextId) override {
    return inner_->read(std::move(contextId));
  }
  asio::awaitable<void> close() override { return inner_->close(); }

 private:
  std::shared_ptr<lukhas::Participant> inner_;
};

// Sessions with two clients each. A turn takes the session's lock, loads the context from the cache or from
// where it was preserved, asks a model, preserves the new context and caches it. run() lets some lives of the
// process pass, each ended by a crash, and a last quiet one; what it finds wrong is in violations().
class WholeSystem {
 public:
  WholeSystem(std::uint64_t seed, BrokenGuard broken)
      : world_({.seed = seed}), chance_(seed * 77 + 1), broken_(broken) {
    world_.addModel("http://first.test/v1").reply("from first");
    world_.addModel("http://second.test/v1").reply("from second");
  }

  void run() {
    for (int life = 0; life < 3; ++life) {
      const std::unique_ptr<lukhas::ContextSystem> system = begin();
      world_.spawn(serve(*system));
      world_.spawn(disturb());
      world_.runFor(std::chrono::milliseconds(1000 + chance_.below(9000)));
      world_.crash();
    }
    const std::unique_ptr<lukhas::ContextSystem> last = begin();
    world_.spawn(serve(*last));
    world_.spawn(disturb());
    world_.runFor(std::chrono::seconds(5));
    calm_ = true;
    for (int wait = 0; wait < 6 && last->locks().getMetrics().totalAcquired < 20; ++wait) {
      world_.runFor(std::chrono::seconds(30));  // its start may have met participants that were down
    }
    closing_ = true;
    world_.runFor(std::chrono::minutes(2));
    checkRest(*last);
    world_.spawn(last->stop());
    world_.run();
  }

  [[nodiscard]] const std::vector<std::string>& violations() const noexcept { return violations_; }
  [[nodiscard]] std::uint64_t fingerprint() const { return world_.fingerprint(); }
  [[nodiscard]] std::uint64_t turns() const noexcept { return turns_; }

 private:
  using json = nlohmann::json;
  static constexpr std::chrono::seconds deadline{6};
  static constexpr std::chrono::seconds cached{3};
  static constexpr int sessions = 2;
  static constexpr std::chrono::milliseconds registered{
      1500};  // shorter than `cached`: the engine is what ends it
  static constexpr std::chrono::milliseconds punctual{10};

  // What is known of one session.
  struct Facts {
    json certain;                  // the newest context that was acknowledged; null before the first
    std::optional<json> possible;  // a context whose preservation was under way when the process crashed
    int inside = 0;                // clients that believe that they hold the lock
    lukhas::TimePoint cachedAt{};
    lukhas::TimePoint registeredAt{};
  };

  void violation(std::string what) {
    if (violations_.size() < 10) violations_.push_back(std::move(what));
  }

  [[nodiscard]] std::unique_ptr<lukhas::ContextSystem> begin() {
    lukhas::ContextSystemOptions options;
    options.lock.timeout = std::chrono::seconds(20);
    options.store.maxBytes = 64U << 10U;
    options.preserver.journalDirectory = "journal";
    options.preserver.disk = world_.disk();
    options.preserver.journalSegmentBytes = 4096;
    options.router.transport = world_.transport();
    options.router.deadline = deadline;
    options.ttl.minTtl = std::chrono::milliseconds(100);
    options.ttl.gracePeriod = lukhas::Duration::zero();
    auto system = std::make_unique<lukhas::ContextSystem>(world_.environment(), std::move(options));
    for (int model = 0; model < 2; ++model) {
      lukhas::ModelDescription description;
      description.id = model == 0 ? "first" : "second";
      description.url = fmt::format("http://{}.test/v1", description.id);
      description.priority = 10 - model;
      description.capabilities = lukhas::NameList("chat");
      description.timeout = std::chrono::seconds(1);
      system->router().registerModel(std::move(description));
    }
    for (auto& [name, facts] : facts_) facts.inside = 0;
    return system;
  }

  asio::awaitable<void> start(lukhas::ContextSystem& system) {
    const lukhas::Environment env = world_.environment();
    for (const char* name : {"db", "files"}) {
      std::shared_ptr<lukhas::Participant> participant = world_.participant(name);
      const bool hasty = broken_ == BrokenGuard::two_phase_commit && participant->name() == "db";
      if (hasty) participant = std::make_shared<HastyParticipant>(participant);
      for (bool added = false; !added;) {
        try {
          co_await system.preserver().addParticipant(participant);
          added = true;
        } catch (const lukhas::Error&) {  // it is down
        }
        if (!added) co_await env.sleepFor(std::chrono::milliseconds(500));
      }
    }
    co_await system.start();
    if (broken_ == BrokenGuard::ttl) system.ttl().stop();
  }

  asio::awaitable<void> serve(lukhas::ContextSystem& system) {
    co_await start(system);
    for (int i = 0; i < 2 * sessions; ++i) {
      world_.spawn(converse(system, fmt::format("session:{}", i % sessions), i));
    }
  }

  asio::awaitable<void> converse(lukhas::ContextSystem& system, std::string session, int client) {
    const lukhas::Environment env = world_.environment();
    for (int number = 1; !closing_; ++number) {
      try {
        co_await turn(system, session, fmt::format("client {} message {}", client, number));
        ++turns_;
      } catch (const lukhas::Error& error) {
        checkFailure(error);
      }
      co_await env.sleepFor(std::chrono::milliseconds(env.random() % (calm_ ? 20'000 : 800)));
    }
  }

  // What may fail when systems are down; everything else is a violation.
  void checkFailure(const lukhas::Error& error) {
    const bool expected = error.code() == lukhas::PreserveErrc::aborted ||
                          error.code() == lukhas::PreserveErrc::participant_unavailable ||
                          error.code() == lukhas::LockErrc::timeout ||
                          error.code() == lukhas::RouteErrc::deadline_exceeded ||
                          error.code() == lukhas::RouteErrc::attempts_exhausted ||
                          error.code() == lukhas::RouteErrc::all_circuits_open ||
                          error.code() == lukhas::RouteErrc::model_failed;
    if (!expected) violation(fmt::format("a turn failed: {}", error.what()));
  }

  asio::awaitable<void> turn(lukhas::ContextSystem& system, std::string session, std::string message) {
    lukhas::AsyncLock::Guard guard;
    if (broken_ != BrokenGuard::lock) guard = co_await system.locks().acquire(session);
    Facts& facts = facts_[session];  // a node of a map: it stays where it is
    const Inside inside(*this, facts);
    json context = co_await load(system, session, facts);
    if (context["messages"].size() >= 4) context["messages"] = json::array();  // long ones only cost time
    context["messages"].push_back({{"role", "user"}, {"content", message}});

    const std::string answer = co_await ask(system, context);
    context["messages"].push_back({{"role", "assistant"}, {"content", answer}});

    facts.possible = context;
    bool aborted = false;
    try {
      const lukhas::NameList both("db", "files");
      const lukhas::ContextSnapshot snapshot =
          co_await system.preserver().preserveContext(session, context, both);
      aborted = snapshot.version == 0;
    } catch (const lukhas::Error& error) {
      if (error.code() != lukhas::PreserveErrc::aborted) throw;
      aborted = true;
    }
    facts.possible.reset();
    if (aborted) co_return;
    facts.certain = context;
    facts.cachedAt = world_.environment().now();
    co_await system.store().set(session, context, storedFor());
    registerInTtl(system, session, facts);
  }

  asio::awaitable<std::string> ask(lukhas::ContextSystem& system, json context) {
    const lukhas::TimePoint latest = world_.environment().now() + deadline;
    std::string text;
    std::exception_ptr failure;
    try {
      lukhas::RouteRequest request("turn", std::move(context), lukhas::NameList("chat"));
      const lukhas::ModelReply reply = co_await system.router().route(std::move(request));
      text = reply.text();
    } catch (const lukhas::Error&) {
      failure = std::current_exception();
    }
    if (world_.environment().now() > latest) violation("a request outlived its deadline");
    if (failure) std::rethrow_exception(failure);
    co_return text;
  }

  // Every other session is registered with the engine, which then removes it from the cache in time; the
  // cache alone sees to the others.
  [[nodiscard]] static bool isRegistered(const std::string& session) { return session.back() % 2 == 1; }
  void registerInTtl(lukhas::ContextSystem& system, const std::string& session, Facts& facts) {
    if (!isRegistered(session)) return;
    facts.registeredAt = world_.environment().now();
    if (broken_ == BrokenGuard::ttl) return;
    (void)system.ttl().registerEntry(session, registered, "session");
  }

  [[nodiscard]] lukhas::Duration storedFor() const {
    return broken_ == BrokenGuard::expiry ? lukhas::Duration(std::chrono::minutes(5))
                                          : lukhas::Duration(cached);
  }

  // The context as the system gives it, compared with what is known of it.
  asio::awaitable<json> load(lukhas::ContextSystem& system, std::string session, Facts& facts) {
    bool fromCache = true;
    auto restore = [&]() -> asio::awaitable<json> {
      fromCache = false;
      std::string id = session;
      const std::optional<lukhas::ContextSnapshot> preserved =
          co_await system.preserver().restoreContext(std::move(id));
      if (preserved) co_return preserved->data;
      json fresh;
      fresh["messages"] = json::array();
      co_return fresh;
    };
    const lukhas::TimePoint begun = world_.environment().now();
    json context = co_await system.store().getOrCompute<json>(session, restore, storedFor());
    if (fromCache && begun >= facts.cachedAt + cached) {
      violation(fmt::format("{}: an expired context was read from the cache", session));
    }
    if (fromCache && isRegistered(session) && begun > facts.registeredAt + registered + punctual) {
      violation(fmt::format("{}: a context that expired in ttl was read from the cache", session));
    }
    if (!fromCache) {
      facts.cachedAt = world_.environment().now();
      registerInTtl(system, session, facts);
    }
    const bool isNew = facts.certain.is_null() && context["messages"].empty();
    const bool isPossible = facts.possible && context == *facts.possible;
    if (isPossible) facts.certain = context;
    if (!isNew && !isPossible && context != facts.certain) {
      violation(fmt::format("{}: not the newest context was read", session));
    }
    facts.possible.reset();
    co_return context;
  }

  class Inside {
   public:
    Inside(WholeSystem& test, Facts& facts) : facts_(facts) {
      if (++facts_.inside > 1) test.violation("two clients held one lock");
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { --facts_.inside; }

   private:
    Facts& facts_;
  };

  asio::awaitable<void> disturb() {
    const lukhas::Environment env = world_.environment();
    for (;;) {
      co_await env.sleepFor(std::chrono::milliseconds(env.random() % 1500));
      if (calm_) break;
      lukhas::SimulatedModel& model =
          world_.model(env.random() % 3 == 0 ? "http://second.test/v1" : "http://first.test/v1");
      const std::shared_ptr<lukhas::SimulatedParticipant> participant =
          world_.participant(env.random() % 2 == 0 ? "db" : "files");
      const auto some = [&](std::uint64_t most) { return std::chrono::milliseconds(env.random() % most); };
      switch (env.random() % 9) {
        case 0: model.failNext(static_cast<unsigned>(env.random() % 12), 503); break;
        case 1: model.stall(); break;
        case 2:
        case 3: model.recover(); break;
        case 4: participant->refuseNextPrepare(); break;
        case 5: participant->goDown(some(3000)); break;
        case 6: participant->goDownDuringCommit(some(12'000)); break;
        case 7: participant->loseNextAnswer(); break;
        default: participant->stallNext(); break;
      }
    }
    for (const char* url : {"http://first.test/v1", "http://second.test/v1"}) world_.model(url).recover();
  }

  // The last life had its share of faults, then time to get over them, then nobody who asked: all must be
  // settled.
  void checkRest(lukhas::ContextSystem& system) {
    for (const auto& [session, facts] : facts_) {
      const std::optional<json> db = world_.participant("db")->committed(session);
      const std::optional<json> files = world_.participant("files")->committed(session);
      if (db != files) violation(session + ": one system holds another context than the other");
      const bool known =
          db ? *db == facts.certain || (facts.possible && *db == *facts.possible) : facts.certain.is_null();
      if (!known) violation(session + ": an acknowledged context is lost");
    }
    for (const char* name : {"db", "files"}) {
      if (world_.participant(name)->intents() > 0) violation(fmt::format("{} still holds an intent", name));
    }
    if (world_.openConnections() > 0) violation("a connection is still open");
    if (system.locks().getMetrics().activeLocks > 0) violation("a lock is still held");
    if (!system.preserver().listInDoubt().empty()) violation("a transaction is still in doubt");
    if (system.ttl().getMetrics().activeEntries > 0) violation("an entry outlived its time");
    if (system.locks().getMetrics().totalAcquired == 0) violation("the last life did nothing");
    for (const lukhas::HealthIssue& issue : system.healthCheck().issues) {
      // The router judges its models by their latest answers, and some were asked last when they failed.
      if (!issue.code.starts_with("router.")) violation("not healthy at rest: " + issue.message);
    }
  }

  lukhas::Simulation world_;
  lukhas::SplitMix chance_;
  BrokenGuard broken_;
  bool calm_ = false;     // nothing is disturbed any more
  bool closing_ = false;  // no turn begins any more
  std::map<std::string, Facts> facts_;
  std::vector<std::string> violations_;
  std::uint64_t turns_ = 0;
};

}  // namespace test
