// Metrics: a struct of figures that describes itself once, and is written as JSON or as Prometheus text.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace lukhas {

// How a component's metrics look:
//
//   struct RouterMetrics {
//     std::uint64_t totalRequests = 0;
//     double avgLatencyMs = 0;
//     std::map<std::string, std::string> circuits;
//
//     template <class Visitor>
//     void visit(Visitor&& visitor) const {
//       visitor(counter("totalRequests", totalRequests, "requests that were routed"));
//       visitor(gauge("avgLatencyMs", avgLatencyMs, "mean time of a request"));
//       visitor(stateGauge("circuits", "id", circuits, "state of each model's circuit", circuitStates));
//     }
//     nlohmann::json toJson() const { return metricsToJson(*this); }
//   };
//
//   metrics.toJson()                  {"avgLatencyMs":12.5,"circuits":{"a":"open"},"totalRequests":7}
//   toPrometheus("router", metrics)   lukhas_router_total_requests_total 7
//                                     lukhas_router_avg_latency_ms 12.5
//                                     lukhas_router_circuits{id="a",state="closed"} 0
//                                     lukhas_router_circuits{id="a",state="open"} 1
//
// A counter only ever grows; a gauge is a reading. What these functions return refers to its arguments: it is
// for the call of the visitor, not for keeping.
enum class MetricKind { counter, gauge };

template <class Number>
struct Metric {
  MetricKind kind;
  std::string_view name;
  Number value;
  std::string_view help;
};

// One reading for each value of a label.
template <class Number>
struct LabelledMetric {
  std::string_view name;
  std::string_view label;
  const std::map<std::string, Number>& values;
  std::string_view help;
  MetricKind kind = MetricKind::gauge;
};

// One word of a few for each value of a label.
struct StateMetric {
  std::string_view name;
  std::string_view label;
  const std::map<std::string, std::string>& states;
  std::string_view help;
  std::span<const std::string_view> known;
};

template <class T>
concept MetricNumber = std::is_arithmetic_v<T>;

template <MetricNumber Number>
[[nodiscard]] constexpr Metric<Number> counter(std::string_view name, Number value,
                                               std::string_view help) noexcept {
  return {MetricKind::counter, name, value, help};
}
// A bool is a gauge of 0 or 1, and true or false as JSON.
template <MetricNumber Number>
[[nodiscard]] constexpr Metric<Number> gauge(std::string_view name, Number value,
                                             std::string_view help) noexcept {
  return {MetricKind::gauge, name, value, help};
}
template <MetricNumber Number>
[[nodiscard]] LabelledMetric<Number> labelledGauge(std::string_view name, std::string_view label,
                                                   const std::map<std::string, Number>& values,
                                                   std::string_view help) noexcept {
  return {name, label, values, help};
}
template <MetricNumber Number>
[[nodiscard]] LabelledMetric<Number> labelledCounter(std::string_view name, std::string_view label,
                                                     const std::map<std::string, Number>& values,
                                                     std::string_view help) noexcept {
  return {name, label, values, help, MetricKind::counter};
}
// `known` lists all states there are: Prometheus then gets a series for each, 1 for the one that holds and 0
// for the others, so that a series does not end when the state changes. Without it only the state that holds
// is written.
[[nodiscard]] inline StateMetric stateGauge(std::string_view name, std::string_view label,
                                            const std::map<std::string, std::string>& states,
                                            std::string_view help,
                                            std::span<const std::string_view> known = {}) noexcept {
  return {name, label, states, help, known};
}

namespace detail {

// JSON has neither NaN nor infinity: both are null.
template <class Number>
nlohmann::json jsonNumber(Number value) {
  if constexpr (std::floating_point<Number>) {
    if (!std::isfinite(value)) return nullptr;
  }
  return value;
}

struct JsonMetricWriter {
  nlohmann::json& out;

  template <class Number>
  void operator()(const Metric<Number>& metric) const {
    out[std::string(metric.name)] = jsonNumber(metric.value);
  }
  template <class Number>
  void operator()(const LabelledMetric<Number>& metric) const {
    nlohmann::json& family = out[std::string(metric.name)] = nlohmann::json::object();
    for (const auto& [label, value] : metric.values) family[label] = jsonNumber(value);
  }
  void operator()(const StateMetric& metric) const { out[std::string(metric.name)] = metric.states; }
};

// "avgTTLMs" → "avg_ttl_ms". Not by <cctype>, which depends on the locale.
inline std::string snakeCase(std::string_view name) {
  const auto isUpper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto isLower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto isDigit = [](char c) { return c >= '0' && c <= '9'; };
  std::string snake;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (isUpper(c)) {
      const bool afterWord = i > 0 && (isLower(name[i - 1]) || isDigit(name[i - 1]));
      const bool endsAcronym = i > 0 && isUpper(name[i - 1]) && i + 1 < name.size() && isLower(name[i + 1]);
      if (afterWord || endsAcronym) snake += '_';
      snake += static_cast<char>(c - 'A' + 'a');
    } else {
      snake += isLower(c) || isDigit(c) ? c : '_';
    }
  }
  return snake;
}

// HELP texts escape backslash and line feed; label values the quotation mark too.
inline std::string escapeHelp(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\\\";
    } else if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}
inline std::string escapeLabel(std::string_view text) {
  std::string escaped;
  for (const char c : escapeHelp(text)) {
    if (c == '"') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

template <class Number>
std::string prometheusNumber(Number value) {
  if constexpr (std::floating_point<Number>) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  }
  return fmt::format("{}", +value);  // the plus makes a number of a bool
}

struct PrometheusWriter {
  std::string& out;
  std::string_view component;

  template <class Number>
  void operator()(const Metric<Number>& metric) const {
    const std::string name = begin(metric.kind, metric.name, metric.help);
    out += fmt::format("{} {}\n", name, prometheusNumber(metric.value));
  }
  template <class Number>
  void operator()(const LabelledMetric<Number>& metric) const {
    const std::string name = begin(metric.kind, metric.name, metric.help);
    for (const auto& [label, value] : metric.values) {
      out += fmt::format("{}{{{}=\"{}\"}} {}\n", name, snakeCase(metric.label), escapeLabel(label),
                         prometheusNumber(value));
    }
  }
  void operator()(const StateMetric& metric) const {
    const std::string name = begin(MetricKind::gauge, metric.name, metric.help);
    for (const auto& [label, current] : metric.states) {
      const auto line = [&](std::string_view state, int holds) {
        out += fmt::format("{}{{{}=\"{}\",state=\"{}\"}} {}\n", name, snakeCase(metric.label),
                           escapeLabel(label), escapeLabel(state), holds);
      };
      bool listed = false;
      for (const std::string_view state : metric.known) {
        line(state, state == current ? 1 : 0);
        listed = listed || state == current;
      }
      if (!listed) line(current, 1);
    }
  }

 private:
  // Writes the two lines that every family begins with, and gives its name.
  [[nodiscard]] std::string begin(MetricKind kind, std::string_view metric, std::string_view help) const {
    const bool counts = kind == MetricKind::counter;
    std::string name =
        fmt::format("lukhas_{}_{}{}", snakeCase(component), snakeCase(metric), counts ? "_total" : "");
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escapeHelp(help), name,
                       counts ? "counter" : "gauge");
    return name;
  }
};

}  // namespace detail

// A JSON object with the struct's own names.
template <class Metrics>
[[nodiscard]] nlohmann::json metricsToJson(const Metrics& metrics) {
  nlohmann::json json = nlohmann::json::object();
  metrics.visit(detail::JsonMetricWriter{json});
  return json;
}

// Prometheus' text exposition format, version 0.0.4: lukhas_<component>_<name in snake case>, counters with
// _total. Texts of several components can be put one after the other.
template <class Metrics>
[[nodiscard]] std::string toPrometheus(std::string_view component, const Metrics& metrics) {
  std::string text;
  metrics.visit(detail::PrometheusWriter{text, component});
  return text;
}

}  // namespace lukhas
