#include "lukhas/core/metrics.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "support/catch.hpp"

using namespace lukhas;

namespace {

constexpr std::array<std::string_view, 3> circuitStates{"closed", "open", "half_open"};

struct SampleMetrics {
  std::uint64_t totalRequests = 7;
  double avgTTLMs = 12.5;
  double p99LatencyMs = 3;
  std::int64_t balance = -4;
  bool poisoned = true;
  std::map<std::string, std::uint64_t> perModel;
  std::map<std::string, std::string> circuits;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("totalRequests", totalRequests, "requests that were routed"));
    visitor(gauge("avgTTLMs", avgTTLMs, "mean"));
    visitor(gauge("p99LatencyMs", p99LatencyMs, "tail"));
    visitor(gauge("balance", balance, "may be negative"));
    visitor(gauge("poisoned", poisoned, "whether"));
    visitor(labelledGauge("perModel", "modelId", perModel, "calls under way"));
    visitor(stateGauge("circuits", "id", circuits, "state of each circuit", circuitStates));
  }
};

template <class Value>
struct OneGauge {
  Value value;
  std::string_view help = "help";
  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(gauge("reading", value, help));
  }
};

struct OpenStates {
  std::map<std::string, std::string> states;
  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(stateGauge("circuits", "id", states, "help"));
  }
};

}  // namespace

TEST_CASE("metrics as JSON have the names and types of the struct", "[core]") {
  SampleMetrics metrics;
  metrics.perModel = {{"a", 2}};
  metrics.circuits = {{"a", "open"}, {"b", "closed"}};

  const auto expected =
      nlohmann::json::parse(R"({"totalRequests":7,"avgTTLMs":12.5,"p99LatencyMs":3.0,"balance":-4,
      "poisoned":true,"perModel":{"a":2},"circuits":{"a":"open","b":"closed"}})");
  CHECK(metricsToJson(metrics) == expected);
  CHECK(metricsToJson(metrics)["totalRequests"].is_number_unsigned());
}

TEST_CASE("an empty family is an empty JSON object", "[core]") {
  const nlohmann::json json = metricsToJson(SampleMetrics{});
  CHECK(json["circuits"] == nlohmann::json::object());
  CHECK(json["perModel"] == nlohmann::json::object());
}

TEST_CASE("metrics as Prometheus text have help and type and snake case names", "[core]") {
  SampleMetrics metrics;
  metrics.perModel = {{"a", 2}, {"b", 0}};
  metrics.circuits = {{"a", "open"}};

  CHECK(toPrometheus("modelRouter", metrics) ==
        "# HELP lukhas_model_router_total_requests_total requests that were routed\n"
        "# TYPE lukhas_model_router_total_requests_total counter\n"
        "lukhas_model_router_total_requests_total 7\n"
        "# HELP lukhas_model_router_avg_ttl_ms mean\n"
        "# TYPE lukhas_model_router_avg_ttl_ms gauge\n"
        "lukhas_model_router_avg_ttl_ms 12.5\n"
        "# HELP lukhas_model_router_p99_latency_ms tail\n"
        "# TYPE lukhas_model_router_p99_latency_ms gauge\n"
        "lukhas_model_router_p99_latency_ms 3\n"
        "# HELP lukhas_model_router_balance may be negative\n"
        "# TYPE lukhas_model_router_balance gauge\n"
        "lukhas_model_router_balance -4\n"
        "# HELP lukhas_model_router_poisoned whether\n"
        "# TYPE lukhas_model_router_poisoned gauge\n"
        "lukhas_model_router_poisoned 1\n"
        "# HELP lukhas_model_router_per_model calls under way\n"
        "# TYPE lukhas_model_router_per_model gauge\n"
        "lukhas_model_router_per_model{model_id=\"a\"} 2\n"
        "lukhas_model_router_per_model{model_id=\"b\"} 0\n"
        "# HELP lukhas_model_router_circuits state of each circuit\n"
        "# TYPE lukhas_model_router_circuits gauge\n"
        "lukhas_model_router_circuits{id=\"a\",state=\"closed\"} 0\n"
        "lukhas_model_router_circuits{id=\"a\",state=\"open\"} 1\n"
        "lukhas_model_router_circuits{id=\"a\",state=\"half_open\"} 0\n");
}

TEST_CASE("a state that nobody announced is still written", "[core]") {
  SampleMetrics metrics;
  metrics.circuits = {{"a", "melted"}};
  CHECK_THAT(toPrometheus("r", metrics),
             Catch::Matchers::EndsWith("{id=\"a\",state=\"half_open\"} 0\n"
                                       "lukhas_r_circuits{id=\"a\",state=\"melted\"} 1\n"));
}

TEST_CASE("without announced states only the one that holds is written", "[core]") {
  const OpenStates metrics{{{"a", "open"}, {"b", "closed"}}};
  CHECK(toPrometheus("r", metrics) ==
        "# HELP lukhas_r_circuits help\n# TYPE lukhas_r_circuits gauge\n"
        "lukhas_r_circuits{id=\"a\",state=\"open\"} 1\nlukhas_r_circuits{id=\"b\",state=\"closed\"} 1\n");
}

TEST_CASE("label values and help texts are escaped", "[core]") {
  const OpenStates labels{{{"a\"b\\c\nd", "x\"y"}}};
  CHECK_THAT(toPrometheus("r", labels),
             Catch::Matchers::EndsWith("{id=\"a\\\"b\\\\c\\nd\",state=\"x\\\"y\"} 1\n"));

  const OneGauge<int> help{1, "back\\slash\nline \"quoted\""};
  CHECK_THAT(toPrometheus("r", help),
             Catch::Matchers::StartsWith("# HELP lukhas_r_reading back\\\\slash\\nline \"quoted\"\n"));
}

TEST_CASE("what is not a finite number is null in JSON and a word in Prometheus text", "[core]") {
  using Limits = std::numeric_limits<double>;
  const OneGauge<double> nan{Limits::quiet_NaN()};
  const OneGauge<double> up{Limits::infinity()};
  const OneGauge<double> down{-Limits::infinity()};

  CHECK(metricsToJson(nan)["reading"].is_null());
  CHECK(metricsToJson(up)["reading"].is_null());
  CHECK_THAT(toPrometheus("r", nan), Catch::Matchers::EndsWith("\nlukhas_r_reading NaN\n"));
  CHECK_THAT(toPrometheus("r", up), Catch::Matchers::EndsWith("\nlukhas_r_reading +Inf\n"));
  CHECK_THAT(toPrometheus("r", down), Catch::Matchers::EndsWith("\nlukhas_r_reading -Inf\n"));
}

TEST_CASE("names turn into snake case at words and acronyms and digits", "[core]") {
  CHECK(detail::snakeCase("totalAcquired") == "total_acquired");
  CHECK(detail::snakeCase("AsyncLock") == "async_lock");
  CHECK(detail::snakeCase("avgTTLMs") == "avg_ttl_ms");
  CHECK(detail::snakeCase("p99LatencyMs") == "p99_latency_ms");
  CHECK(detail::snakeCase("x1Y") == "x1_y");
  CHECK(detail::snakeCase("TTL") == "ttl");
  CHECK(detail::snakeCase("some-name") == "some_name");
  CHECK(detail::snakeCase("already_snake") == "already_snake");
  CHECK(detail::snakeCase("") == "");
}
