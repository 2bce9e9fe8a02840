// SimulatedParticipant: a storage system on another machine of the simulated world, with the faults of one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/unique_function.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/transaction_id.hpp"
#include "lukhas/sim/hanging_calls.hpp"
#include "lukhas/sim/present.hpp"

namespace lukhas {

namespace detail {

// What the other machine holds: the contract of Participant in its plainest form, without time or faults.
class SimulatedStorage {
 public:
  explicit SimulatedStorage(std::string name) : name_(std::move(name)) {}

  void prepare(const StoredContext& context) {
    const auto held = intents_.find(context.contextId);
    if (held != intents_.end() && held->second.transactionId == context.transactionId) return;
    if (aborted_.contains(context.transactionId)) refuse(context, "the transaction was aborted");
    const std::optional<TransactionId> id = TransactionId::parse(context.transactionId);
    if (id && id->epoch < epochOf(*id)) refuse(context, "its coordinator has started anew since");
    if (held != intents_.end()) conflict(context, held->second.transactionId, held->second.version);
    const auto found = committed_.find(context.contextId);
    if (found != committed_.end() && found->second.version >= context.version)
      conflict(context, found->second.transactionId, found->second.version);
    intents_.emplace(context.contextId, context);
    if (id) epochOf(*id) = id->epoch;
  }
  void commit(const TransactionRef& transaction) {
    const auto held = intents_.find(transaction.contextId);
    if (held == intents_.end() || held->second.transactionId != transaction.transactionId)
      return expectDone(transaction);
    if (held->second.forgets) {
      committed_.erase(transaction.contextId);
    } else {
      committed_[transaction.contextId] = held->second;
    }
    intents_.erase(held);
  }
  void abort(const TransactionRef& transaction) {
    aborted_.insert(transaction.transactionId);
    const auto held = intents_.find(transaction.contextId);
    if (held != intents_.end() && held->second.transactionId == transaction.transactionId)
      intents_.erase(held);
  }
  [[nodiscard]] std::vector<StoredContext> inDoubt() const {
    std::vector<StoredContext> all;
    for (const auto& [id, intent] : intents_) {
      all.push_back(intent);
      all.back().payload.clear();
    }
    return all;
  }
  [[nodiscard]] ContextCopies read(const std::string& contextId) const {
    ContextCopies copies;
    if (const auto found = committed_.find(contextId); found != committed_.end())
      copies.committed = found->second;
    if (const auto held = intents_.find(contextId); held != intents_.end()) copies.intent = held->second;
    return copies;
  }
  void lose(const std::string& contextId) { committed_.erase(contextId); }
  [[nodiscard]] std::size_t intents() const noexcept { return intents_.size(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  [[noreturn]] void refuse(const StoredContext& context, const std::string& cause) const {
    nlohmann::json details{
        {"participant", name_}, {"transactionId", context.transactionId}, {"cause", cause}};
    throw Error(PreserveErrc::refused, fmt::format("participant '{}' refused: {}", name_, cause),
                std::move(details));
  }
  [[noreturn]] void unavailable(const std::string& cause) const {
    nlohmann::json details{{"participant", name_}, {"cause", cause}};
    throw Error(PreserveErrc::participant_unavailable,
                fmt::format("participant '{}' is not available: {}", name_, cause), std::move(details));
  }

 private:
  [[noreturn]] void conflict(const StoredContext& context, const std::string& other,
                             std::uint64_t version) const {
    nlohmann::json details{{"participant", name_},
                           {"transactionId", context.transactionId},
                           {"holds", other},
                           {"version", version}};
    throw Error(PreserveErrc::conflict,
                fmt::format("participant '{}' holds version {} of the context, of transaction {}", name_,
                            version, other),
                std::move(details));
  }
  void expectDone(const TransactionRef& transaction) const {
    const auto found = committed_.find(transaction.contextId);
    if (found == committed_.end() ? transaction.forgets : found->second.version >= transaction.version)
      return;
    nlohmann::json details{{"participant", name_}, {"transactionId", transaction.transactionId}};
    throw Error(
        PreserveErrc::unknown_transaction,
        fmt::format("participant '{}' does not know transaction {}", name_, transaction.transactionId),
        std::move(details));
  }
  std::uint64_t& epochOf(const TransactionId& id) { return epochs_[id.nameSpace + ':' + id.coordinator]; }

  std::string name_;
  std::map<std::string, StoredContext> committed_;
  std::map<std::string, StoredContext> intents_;  // by context: there is at most one for each
  std::set<std::string> aborted_;                 // never forgotten: a simulation ends
  std::map<std::string, std::uint64_t> epochs_;   // by coordinator: the newest that prepared something
};

// The other machine and the way to it. A request is a message with a time of arrival, kept outside of the
// life that sent it: whoever looks at the machine first lets everything arrive that is due by then, in the
// order of arrival. That is as if each had arrived in its own time, because nobody looked in between.
class SimulatedMachine {
 public:
  using Request = UniqueFunction<void(SimulatedMachine&)>;

  SimulatedMachine(std::shared_ptr<Present> present, std::string name)
      : present_(std::move(present)), storage_(std::move(name)) {}

  // `storage()` as it is now.
  [[nodiscard]] SimulatedStorage& arrived() {
    const TimePoint present = now();
    while (!underWay_.empty() && underWay_.begin()->first.first <= present) {
      auto first = underWay_.extract(underWay_.begin());
      arrivalTime_ = first.key().first;
      first.mapped().request(*this);
    }
    return storage_;
  }
  [[nodiscard]] SimulatedStorage& storage() noexcept { return storage_; }
  [[nodiscard]] Environment environment() const { return present_->environment(); }
  [[nodiscard]] TimePoint now() const { return present_->loop().now(); }

  // A request that is under way. When the caller goes away before it has arrived (by a crash or a
  // cancellation), it is on its own: half of them arrive in time, some later, some never.
  class Sent {
   public:
    using Key = std::pair<TimePoint, std::uint64_t>;
    Sent(std::shared_ptr<SimulatedMachine> machine, Key key) : machine_(std::move(machine)), key_(key) {}
    Sent(const Sent&) = delete;
    Sent& operator=(const Sent&) = delete;
    ~Sent() { machine_->abandon(key_); }

    [[nodiscard]] TimePoint arrival() const noexcept { return key_.first; }

   private:
    std::shared_ptr<SimulatedMachine> machine_;
    Key key_;
  };
  [[nodiscard]] Sent::Key send(Duration delay, Request request) {
    const Sent::Key key{Environment::saturatingAdd(now(), delay), ++sent_};
    underWay_.emplace(key, Message{std::move(request), drawFate()});
    return key;
  }

  [[nodiscard]] Duration drawLatency() {
    const auto range = static_cast<std::uint64_t>((longest - shortest).count());
    return shortest + Duration(static_cast<std::int64_t>(present_->chance().below(range + 1)));
  }
  [[nodiscard]] bool drawCoin() { return present_->chance().below(2) == 0; }
  [[nodiscard]] Duration drawDelay() {
    return Duration(static_cast<std::int64_t>(
        present_->chance().below(static_cast<std::uint64_t>(longestDelay.count()))));
  }

  // Thrown by requests that arrive while the machine is down.
  void expectUp() const {
    if (arrivalTime_ < downUntil) storage_.unavailable("it is down");
  }
  void expectCommits() {
    if (commitFailure)
      commitsFailUntil =
          Environment::saturatingAdd(arrivalTime_, *std::exchange(commitFailure, std::nullopt));
    if (arrivalTime_ < commitsFailUntil) storage_.unavailable("it cannot commit now");
  }

  static constexpr Duration longestDelay = std::chrono::seconds(10);

  Duration shortest = std::chrono::microseconds(500);
  Duration longest = std::chrono::milliseconds(5);
  TimePoint downUntil = TimePoint::min();
  TimePoint commitsFailUntil = TimePoint::min();
  std::optional<Duration> commitFailure;  // begins with the next commit
  bool refusesNextPrepare = false;
  bool losesNextAnswer = false;
  bool stallsNext = false;

 private:
  enum class Fate { in_time, late, lost };
  struct Message {
    Request request;
    std::pair<Fate, Duration> abandoned;  // what happens to it without its caller; drawn when it is sent
  };

  [[nodiscard]] std::pair<Fate, Duration> drawFate() {
    const std::uint64_t drawn = present_->chance().below(4);
    return {drawn < 2 ? Fate::in_time : drawn == 2 ? Fate::late : Fate::lost, drawDelay()};
  }
  // Only touches memory: it runs in a crash, too.
  void abandon(Sent::Key key) {
    auto message = underWay_.extract(key);
    if (message.empty() || message.mapped().abandoned.first == Fate::lost) return;
    if (message.mapped().abandoned.first == Fate::late) {
      message.key().first = Environment::saturatingAdd(key.first, message.mapped().abandoned.second);
      message.mapped().abandoned.first = Fate::in_time;
    }
    underWay_.insert(std::move(message));
  }

  std::shared_ptr<Present> present_;
  SimulatedStorage storage_;
  std::map<Sent::Key, Message> underWay_;
  std::uint64_t sent_ = 0;
  TimePoint arrivalTime_{};  // of the request that runs now
};

}  // namespace detail

// A participant for tests: it keeps the contract, and it fails when it is told to.
//
//   world.participant("db")->refuseNextPrepare();
//   world.participant("s3")->goDownDuringCommit(1min);
//   world.crash();  // of the coordinator: what the participant has, it keeps
//   CHECK(world.participant("db")->committed("order:1") == json{{"items", 3}});
//
// Each call travels for a random time, takes effect, and its answer travels back; so a crash or a time-out
// falls before the effect or after it, by seed. A request whose caller is gone may still arrive, in time or
// up to 10 s late, or be lost. Being another machine, it needs no open() in each life, and close() closes
// nothing. Controls take effect at once, and for calls that are made or arrive from then on. Not thread-safe,
// as all of the simulation.
class SimulatedParticipant final : public Participant {
 public:
  SimulatedParticipant(std::shared_ptr<detail::Present> present, std::string name)
      : machine_(std::make_shared<detail::SimulatedMachine>(std::move(present), std::move(name))) {}

  // What it holds now.
  [[nodiscard]] std::optional<nlohmann::json> committed(const std::string& contextId) {
    const std::optional<StoredContext> held = machine_->arrived().read(contextId).committed;
    if (!held) return std::nullopt;
    return nlohmann::json::parse(held->payload);
  }
  [[nodiscard]] std::optional<std::uint64_t> committedVersion(const std::string& contextId) {
    const std::optional<StoredContext> held = machine_->arrived().read(contextId).committed;
    if (!held) return std::nullopt;
    return held->version;
  }
  [[nodiscard]] std::size_t intents() { return machine_->arrived().intents(); }

  // The next prepare that arrives is refused.
  void refuseNextPrepare() { settled().refusesNextPrepare = true; }
  // Every request that arrives within that time fails as participant_unavailable and has no effect.
  void goDown(Duration duration) {
    detail::SimulatedMachine& machine = settled();
    machine.downUntil = Environment::saturatingAdd(machine.now(), duration);
  }
  // The same for commits alone, and the time begins when the next one arrives.
  void goDownDuringCommit(Duration duration) { settled().commitFailure = duration; }
  // The next call takes effect, but its caller gets participant_unavailable.
  void loseNextAnswer() { machine_->losesNextAnswer = true; }
  // The next call is never answered, until it is cancelled. By seed it takes effect, within 10 s, or does
  // not.
  void stallNext() { machine_->stallsNext = true; }
  // The committed copy of that context is gone, as after an old backup was put back.
  void lose(const std::string& contextId) { settled().storage().lose(contextId); }
  // How long requests and answers travel: each between `shortest` and `longest`. Default: 0.5 to 5 ms.
  void latency(Duration shortest, Duration longest) {
    machine_->shortest = shortest;
    machine_->longest = std::max(shortest, longest);
  }

  [[nodiscard]] const std::string& name() const noexcept override { return machine_->storage().name(); }

  [[nodiscard]] asio::awaitable<void> open(Environment) override {
    return call<void>(machine_, [](Machine&) {});
  }
  [[nodiscard]] asio::awaitable<void> prepare(StoredContext context) override {
    return call<void>(machine_, [context = std::move(context)](Machine& machine) {
      if (std::exchange(machine.refusesNextPrepare, false))
        machine.storage().refuse(context, "it was told to refuse");
      machine.storage().prepare(context);
    });
  }
  [[nodiscard]] asio::awaitable<void> commit(TransactionRef transaction) override {
    return call<void>(machine_, [transaction = std::move(transaction)](Machine& machine) {
      machine.expectCommits();
      machine.storage().commit(transaction);
    });
  }
  [[nodiscard]] asio::awaitable<void> abort(TransactionRef transaction) override {
    return call<void>(machine_, [transaction = std::move(transaction)](Machine& machine) {
      machine.storage().abort(transaction);
    });
  }
  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() override {
    return call<std::vector<StoredContext>>(machine_,
                                            [](Machine& machine) { return machine.storage().inDoubt(); });
  }
  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string contextId) override {
    return call<ContextCopies>(machine_, [contextId = std::move(contextId)](Machine& machine) {
      return machine.storage().read(contextId);
    });
  }
  [[nodiscard]] asio::awaitable<void> close() override {
    return call<void>(machine_, [](Machine&) {});
  }

 private:
  using Machine = detail::SimulatedMachine;

  template <class Result>
  struct Answer {
    std::optional<std::conditional_t<std::is_void_v<Result>, bool, Result>> value;
    std::exception_ptr error;
  };

  // Everything that was due happened before the control that is about to be set.
  Machine& settled() {
    (void)machine_->arrived();
    return *machine_;
  }

  template <class Result, class Effect>
  static asio::awaitable<Result> call(std::shared_ptr<Machine> machine, Effect effect) {
    UniqueFunction<Result(Machine&)> action(std::move(effect));
    return exchange<Result>(std::move(machine), std::move(action));
  }

  template <class Result>
  static asio::awaitable<Result> exchange(std::shared_ptr<Machine> machine,
                                          UniqueFunction<Result(Machine&)> effect) {
    const bool loses = std::exchange(machine->losesNextAnswer, false);
    const bool stalls = std::exchange(machine->stallsNext, false);
    const auto answer = std::make_shared<Answer<Result>>();
    Machine::Request request = [answer, effect = std::move(effect)](Machine& there) mutable {
      try {
        there.expectUp();
        if constexpr (std::is_void_v<Result>) {
          effect(there);
        } else {
          answer->value.emplace(effect(there));
        }
      } catch (...) {
        answer->error = std::current_exception();
      }
    };
    const Environment environment = machine->environment();
    if (stalls) {
      if (machine->drawCoin()) (void)machine->send(machine->drawDelay(), std::move(request));
      const auto never = [] { return false; };
      co_await detail::HangingCalls::of(environment).wait(environment, never);
    }
    const Duration way = machine->drawLatency();
    const Duration wayBack = machine->drawLatency();
    {
      const Machine::Sent sent(machine, machine->send(way, std::move(request)));
      co_await environment.sleepUntil(sent.arrival());
      (void)machine->arrived();
    }
    co_await environment.sleepFor(wayBack);
    if (loses) machine->storage().unavailable("its answer was lost");
    if (answer->error) std::rethrow_exception(answer->error);
    if constexpr (!std::is_void_v<Result>) co_return std::move(*answer->value);
  }

  std::shared_ptr<Machine> machine_;
};

}  // namespace lukhas
