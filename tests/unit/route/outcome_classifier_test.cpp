#include "lukhas/route/outcome_classifier.hpp"

#include <map>
#include <string>
#include <vector>

#include <asio/error.hpp>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AttemptFacts;
using lukhas::CircuitOutcome;
using lukhas::classifyOutcome;
using lukhas::RouteAction;
using lukhas::RouteErrc;
using lukhas::Verdict;

namespace {

AttemptFacts withStatus(int status) {
  AttemptFacts facts;
  facts.status = status;
  return facts;
}
AttemptFacts withError(std::error_code error) {
  AttemptFacts facts;
  facts.error = error;
  return facts;
}

constexpr auto retry = RouteAction::retry;
constexpr auto failOver = RouteAction::fail_over;
constexpr auto giveUp = RouteAction::give_up;
constexpr auto failure = CircuitOutcome::failure;
constexpr auto neutral = CircuitOutcome::neutral;

}  // namespace

TEST_CASE("an answer that could be read is accepted and healthy", "[route]") {
  for (const int status : {200, 201, 299}) {
    const Verdict verdict = classifyOutcome(withStatus(status));
    CHECK(verdict.action == RouteAction::accept);
    CHECK(verdict.health == CircuitOutcome::success);
    CHECK_FALSE(verdict.error);
  }
}

TEST_CASE("every status has its verdict", "[route]") {
  struct Row {
    std::vector<int> statuses;
    RouteAction action;
    CircuitOutcome health;
    RouteErrc code;
  };
  const std::vector<Row> table{
      {{408, 409, 500, 501, 502, 503, 504, 529, 599}, retry, failure, RouteErrc::model_failed},
      {{429}, retry, neutral, RouteErrc::throttled},
      {{402}, failOver, neutral, RouteErrc::quota_spent},
      {{401, 403, 407}, failOver, neutral, RouteErrc::access_refused},
      {{300, 301, 302, 307, 308, 399, 404, 405, 410}, failOver, neutral, RouteErrc::wrong_endpoint},
      {{400, 406, 411, 413, 415, 418, 422, 431, 499}, giveUp, neutral, RouteErrc::model_refused},
      {{-1, 0, 99, 100, 103, 199, 600, 999}, retry, failure, RouteErrc::bad_http},
  };
  for (const Row& row : table) {
    for (const int status : row.statuses) {
      INFO(status);
      const Verdict verdict = classifyOutcome(withStatus(status));
      CHECK(verdict.action == row.action);
      CHECK(verdict.health == row.health);
      CHECK(verdict.error == row.code);
      CHECK(verdict.throttled == (status == 429));
      CHECK_FALSE(verdict.wait);
    }
  }
}

TEST_CASE("every failure on the way has its verdict", "[route]") {
  struct Row {
    RouteErrc code;
    RouteAction action;
    CircuitOutcome health;
  };
  const std::vector<Row> table{
      {RouteErrc::name_not_resolved, retry, failure},
      {RouteErrc::connect_failed, retry, failure},
      {RouteErrc::connect_timed_out, retry, failure},
      {RouteErrc::connection_lost, retry, failure},
      {RouteErrc::bad_http, retry, failure},
      {RouteErrc::transport_failed, retry, failure},
      {RouteErrc::attempt_timed_out, retry, failure},
      {RouteErrc::invalid_reply, retry, failure},
      {RouteErrc::model_failed, retry, failure},
      {RouteErrc::throttled, retry, neutral},
      {RouteErrc::tls_failed, failOver, failure},
      {RouteErrc::headers_too_large, failOver, failure},
      {RouteErrc::body_too_large, failOver, failure},
      {RouteErrc::quota_spent, failOver, neutral},
      {RouteErrc::api_key_unavailable, failOver, neutral},
      {RouteErrc::access_refused, failOver, neutral},
      {RouteErrc::wrong_endpoint, failOver, neutral},
      {RouteErrc::model_refused, giveUp, neutral},
      {RouteErrc::deadline_exceeded, giveUp, failure},
  };
  for (const Row& row : table) {
    AttemptFacts facts = withError(row.code);
    facts.status = 200;  // an error inside an answer that began well
    const Verdict verdict = classifyOutcome(facts);
    INFO(verdict.error.message());
    CHECK(verdict.action == row.action);
    CHECK(verdict.health == row.health);
    CHECK(verdict.error == row.code);
  }
}

TEST_CASE("what the library refuses by itself is never the model's failure", "[route]") {
  for (const std::error_code error :
       {make_error_code(lukhas::Errc::closed), make_error_code(lukhas::Errc::invalid_argument),
        make_error_code(RouteErrc::overloaded)}) {
    AttemptFacts facts = withError(error);
    facts.status = 503;
    facts.shouldRetry = true;
    const Verdict verdict = classifyOutcome(facts);
    CHECK(verdict.action == giveUp);
    CHECK(verdict.health == neutral);
    CHECK(verdict.error == error);
  }
}

TEST_CASE("errors in the system's own codes are failures of the transport", "[route]") {
  for (const std::error_code error :
       {std::error_code(asio::error::connection_refused), std::error_code(asio::error::eof),
        make_error_code(std::errc::connection_reset)}) {
    const Verdict verdict = classifyOutcome(withError(error));
    CHECK(verdict.action == retry);
    CHECK(verdict.health == failure);
    CHECK(verdict.error == error);
  }
}

TEST_CASE("a transport that calls itself aborted has failed", "[route]") {
  for (const std::error_code error :
       {std::error_code(asio::error::operation_aborted), make_error_code(std::errc::operation_canceled)}) {
    const Verdict verdict = classifyOutcome(withError(error));
    CHECK(verdict.action == retry);
    CHECK(verdict.health == failure);
    CHECK(verdict.error == RouteErrc::transport_failed);
  }
}

TEST_CASE("a spent quota inside a 429 is no throttling", "[route]") {
  AttemptFacts facts = withStatus(429);
  facts.quotaSpent = true;
  facts.shouldRetry = true;
  const Verdict verdict = classifyOutcome(facts);
  CHECK(verdict.action == failOver);
  CHECK(verdict.health == neutral);
  CHECK(verdict.error == RouteErrc::quota_spent);
  CHECK_FALSE(verdict.throttled);
}

TEST_CASE("x-should-retry wins over the status both ways", "[route]") {
  for (const int status : {400, 401, 404, 422, 429, 500, 503}) {
    INFO(status);
    AttemptFacts facts = withStatus(status);
    const Verdict plain = classifyOutcome(facts);
    facts.shouldRetry = true;
    CHECK(classifyOutcome(facts).action == retry);
    CHECK(classifyOutcome(facts).health == plain.health);
    facts.shouldRetry = false;
    CHECK(classifyOutcome(facts).action == (plain.action == retry ? failOver : plain.action));
    CHECK(classifyOutcome(facts).health == plain.health);
  }
}

TEST_CASE("what the model asks to be left alone for comes with the verdict", "[route]") {
  for (const int status : {429, 503}) {
    AttemptFacts facts = withStatus(status);
    facts.retryAfter = 7s;
    CHECK(classifyOutcome(facts).wait == std::optional<std::chrono::nanoseconds>(7s));
  }
  AttemptFacts lost = withError(RouteErrc::connection_lost);
  lost.retryAfter = 7s;
  CHECK_FALSE(classifyOutcome(lost).wait);
}

TEST_CASE("the headers that matter are read into the facts", "[route]") {
  const auto read = [](std::map<std::string, std::string, std::less<>> headers) {
    AttemptFacts facts;
    facts.readHeaders(
        [&headers](std::string_view name) -> std::optional<std::string_view> {
          const auto found = headers.find(name);
          return found == headers.end() ? std::nullopt : std::optional<std::string_view>(found->second);
        },
        std::chrono::system_clock::time_point{});
    return facts;
  };
  using Wait = std::optional<std::chrono::nanoseconds>;
  CHECK(read({{"retry-after-ms", "20"}, {"retry-after", "9"}}).retryAfter == Wait(20ms));
  CHECK(read({{"retry-after-ms", "-1"}, {"retry-after", "9"}}).retryAfter == Wait(9s));
  CHECK(read({{"retry-after", "Thu, 01 Jan 1970 00:00:05 GMT"}}).retryAfter == Wait(5s));
  CHECK_FALSE(read({}).retryAfter);
  CHECK(read({{"x-should-retry", "true"}}).shouldRetry == std::optional(true));
  CHECK(read({{"x-should-retry", " false"}}).shouldRetry == std::optional(false));
  CHECK_FALSE(read({{"x-should-retry", "perhaps"}}).shouldRetry);
}

TEST_CASE("every code of the router has a name and a sentence of its own", "[route]") {
  std::map<std::string, int> sentences;
  std::map<std::string, int> names;
  for (int code = 1; code <= static_cast<int>(RouteErrc::transport_failed); ++code) {
    const std::string sentence = make_error_code(static_cast<RouteErrc>(code)).message();
    CHECK(sentence != "unknown error");
    CHECK(++sentences[sentence] == 1);
    CHECK(++names[toString(static_cast<RouteErrc>(code))] == 1);
  }
  CHECK_FALSE(names.contains("unknown"));
  CHECK(toString(RouteErrc::throttled) == std::string("throttled"));
  CHECK(make_error_code(RouteErrc::throttled).category().name() == std::string("lukhas.route"));
}
