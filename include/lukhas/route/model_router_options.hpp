// Options and metrics of ModelRouter.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lukhas/async/world.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/route/circuit_breaker.hpp"
#include "lukhas/route/outcome_classifier.hpp"
#include "lukhas/route/retry_budget.hpp"
#include "lukhas/route/retry_policy.hpp"
#include "lukhas/route/route_balance.hpp"
#include "lukhas/route/transport.hpp"

namespace lukhas {

struct ModelRouterOptions {
  // What sends the requests: CurlTransport, a simulated network, or your own. Not null.
  std::shared_ptr<Transport> transport = {};
  // For a whole request: waiting, all attempts, and the pauses between them. Long enough for three attempts
  // at the models' default time-out of 10 s. 1 ms to 24 h.
  Duration deadline = std::chrono::seconds(30);
  // For a whole stream, from its request to its end, whoever it waits for. Zero: no limit; `deadline` holds
  // until its first content either way. 0 to 24 h.
  Duration streamLimit = Duration::zero();
  // Of what a stream had said when it broke, so much is repeated in the error. 0 to 16 MiB.
  std::size_t maxPartialBytes = std::size_t{64} << 10U;
  // Over all models: the first one counts. There are no further retries anywhere below. 1 to 100.
  unsigned maxAttempts = 3;
  // Of each model's circuit. A trialTimeout that is not longer than `deadline` is taken as twice the
  // deadline: no trial may lose its place while it is under way.
  CircuitBreakerOptions breaker = {};
  // The pauses between attempts at one model, and the longest that a model may ask for.
  RetryPolicyOptions retry = {};
  // What the end of an attempt means, in place of classifyOutcome(); empty: that. Called by any thread, with
  // no lock held. What it throws, and an `accept` for what is no answer, are taken as classifyOutcome()'s
  // verdict.
  std::function<Verdict(const AttemptFacts&)> classify = {};
  // What keeps an outage from being multiplied; one for the whole router.
  RetryBudgetOptions budget = {};
  // Which of several models of equal priority is asked first.
  RouteBalance balance = RouteBalance::in_order;
  // A request that is marked idempotent and has no answer after this (of a stream: no content) is put to a
  // second model beside the first, if one is ready, the retry budget pays for it and maxAttempts allows it.
  // The first answer counts, and the other attempt is cancelled. Zero: never. 0 to 24 h.
  Duration hedgeDelay = Duration::zero();
  // What the next model is asked when a stream breaks after content was handed over: given the context and
  // what was said so far, both without the model's name, gives the context of that question. The stream then
  // goes on with what that model says, under the same limits and within maxAttempts. Not asked when more was
  // handed over than text and thinking, or more text than maxPartialBytes. Empty: such a stream ends with
  // RouteErrc::stream_interrupted. See askToContinue(). Called by any thread, with no lock held.
  std::function<nlohmann::json(const nlohmann::json& context, const std::string& said)> continueStream = {};
  // Sessions whose model is remembered (see RouteRequest::ofSession): prompts that a model has cached are
  // cheaper there. Beyond it the one that was used longest ago is forgotten. 0: none. 0 to 1,000,000.
  std::size_t stickySessions = 0;
  // Requests that wait for a place at a model, or for the end of a backoff, at once; one more fails with
  // RouteErrc::overloaded. 0: none waits. 0 to 1,000,000.
  std::size_t maxQueued = 1024;
  // Models that can be registered at once. 1 to 100,000.
  std::size_t maxModels = 1024;
  // The largest answer that is read. 1 KiB to 1 GiB.
  std::size_t maxReplyBytes = std::size_t{16} << 20U;
  // Of the body of an error, only so much is read. 0 to 16 MiB.
  std::size_t maxErrorBytes = std::size_t{64} << 10U;

  // Throws Errc::invalid_option.
  void check() const {
    using namespace std::chrono_literals;
    constexpr const char* who = "ModelRouter";
    requireOptionRule(who, "transport", "null", transport != nullptr, "a transport");
    requireOption(who, "deadline", deadline, 1ms, 24h);
    requireOption(who, "streamLimit", streamLimit, 0ns, 24h);
    requireOption(who, "maxPartialBytes", maxPartialBytes, 0U, std::size_t{16} << 20U);
    requireOption(who, "maxAttempts", maxAttempts, 1U, 100U);
    breaker.check();
    retry.check();
    budget.check();
    requireOption(who, "hedgeDelay", hedgeDelay, 0ns, 24h);
    requireOption(who, "stickySessions", stickySessions, 0U, 1'000'000U);
    requireOption(who, "maxQueued", maxQueued, 0U, 1'000'000U);
    requireOption(who, "maxModels", maxModels, 1U, 100'000U);
    requireOption(who, "maxReplyBytes", maxReplyBytes, std::size_t{1} << 10U, std::size_t{1} << 30U);
    requireOption(who, "maxErrorBytes", maxErrorBytes, 0U, std::size_t{16} << 20U);
  }
};

struct RouterMetrics {
  std::uint64_t totalRequests = 0;
  std::uint64_t successfulRequests = 0;
  std::uint64_t failedRequests = 0;
  std::uint64_t timeoutRequests = 0;
  std::uint64_t cancelledRequests = 0;
  std::uint64_t attempts = 0;
  std::uint64_t retries = 0;
  std::uint64_t failovers = 0;
  std::uint64_t hedges = 0;
  std::uint64_t hedgeWins = 0;
  std::uint64_t continuations = 0;
  std::uint64_t circuitOpens = 0;
  std::uint64_t activeRequests = 0;
  std::uint64_t queuedRequests = 0;
  std::uint64_t retryTokens = 0;
  double avgLatencyMs = 0;
  double p99LatencyMs = 0;
  std::map<std::string, std::string> circuits;  // id → state
  std::map<std::string, double> throttledMs;    // id → how much longer the model is left alone, as it asked
  // id → of the models that are registered, since they were
  std::map<std::string, std::uint64_t> modelAttempts;
  std::map<std::string, std::uint64_t> modelInputTokens;
  std::map<std::string, std::uint64_t> modelOutputTokens;
  std::map<std::string, double> modelP50LatencyMs;
  std::map<std::string, double> modelP99LatencyMs;
  std::map<std::string, double> modelP50FirstTokenMs;
  std::map<std::string, double> modelP99FirstTokenMs;
  std::map<std::string, double> modelOpenMs;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("totalRequests", totalRequests, "requests that were routed"));
    visitor(counter("successfulRequests", successfulRequests, "requests that were answered"));
    visitor(counter("failedRequests", failedRequests, "requests that ended in an error"));
    visitor(counter("timeoutRequests", timeoutRequests, "of these, the ones whose deadline came first"));
    visitor(
        counter("cancelledRequests", cancelledRequests, "requests whose caller left, or that were closed"));
    visitor(counter("attempts", attempts, "questions that were put to a model"));
    visitor(counter("retries", retries, "further attempts at the same model"));
    visitor(counter("failovers", failovers, "further attempts at another model"));
    visitor(counter("hedges", hedges, "further attempts beside one that is under way"));
    visitor(counter("hedgeWins", hedgeWins, "of these, the ones that answered first"));
    visitor(counter("continuations", continuations, "streams that broke and went on at another model"));
    visitor(counter("circuitOpens", circuitOpens, "how often a circuit opened"));
    visitor(gauge("activeRequests", activeRequests, "requests that have not ended"));
    visitor(gauge("queuedRequests", queuedRequests, "of these, the ones that wait for a place or a backoff"));
    visitor(gauge("retryTokens", retryTokens, "what is left of the retry budget"));
    visitor(gauge("avgLatencyMs", avgLatencyMs, "mean time of an answered request in milliseconds"));
    visitor(gauge("p99LatencyMs", p99LatencyMs, "99th percentile of an answered request in milliseconds"));
    visitor(stateGauge("circuits", "id", circuits, "state of each model's circuit",
                       CircuitBreakerMetrics::circuitStateNames));
    visitor(labelledGauge("throttledMs", "id", throttledMs,
                          "how much longer each model is left alone, as it asked, in milliseconds"));
    visitor(labelledCounter("modelAttempts", "id", modelAttempts, "questions that were put to each model"));
    visitor(labelledCounter("modelInputTokens", "id", modelInputTokens, "tokens in, as each model counts"));
    visitor(
        labelledCounter("modelOutputTokens", "id", modelOutputTokens, "tokens out, as each model counts"));
    visitor(labelledGauge("modelP50LatencyMs", "id", modelP50LatencyMs,
                          "median of each model's whole answers in milliseconds"));
    visitor(labelledGauge("modelP99LatencyMs", "id", modelP99LatencyMs,
                          "99th percentile of each model's whole answers in milliseconds"));
    visitor(labelledGauge("modelP50FirstTokenMs", "id", modelP50FirstTokenMs,
                          "median of each model's time to the first content of a stream in milliseconds"));
    visitor(labelledGauge("modelP99FirstTokenMs", "id", modelP99FirstTokenMs,
                          "99th percentile of each model's time to the first content in milliseconds"));
    visitor(labelledGauge("modelOpenMs", "id", modelOpenMs,
                          "how long each model's circuit was not closed in milliseconds"));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }
};

}  // namespace lukhas
