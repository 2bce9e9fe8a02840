// Metrics: a struct of figures that describes itself once, and is written as JSON or as Prometheus text.
#pragma once

#include <cctype>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace lukhas {

// How a component's metrics look:
//
//   struct LockMetrics {
//     std::uint64_t totalAcquired = 0;
//     template <class Visitor> void visit(Visitor&& visitor) const {
//       visitor(counter("totalAcquired", totalAcquired, "locks granted"));
//     }
//     nlohmann::json toJson() const { return metricsToJson(*this); }
//   };
//
// A counter only grows, a gauge is a reading; a StateMetric gives one of a few words for each label ("closed" for a model).
enum class MetricKind { counter, gauge };

template <class Number>
struct Metric {
  MetricKind kind;
  std::string_view name;
  Number value;
  std::string_view help;
};

struct StateMetric {
  std::string_view name;
  std::string_view label;
  const std::map<std::string, std::string>& states;
  std::string_view help;
};

template <class Number>
  requires std::is_arithmetic_v<Number>
[[nodiscard]] constexpr Metric<Number> counter(std::string_view name, Number value, std::string_view help) noexcept {
  return {MetricKind::counter, name, value, help};
}
template <class Number>
  requires std::is_arithmetic_v<Number>
[[nodiscard]] constexpr Metric<Number> gauge(std::string_view name, Number value, std::string_view help) noexcept {
  return {MetricKind::gauge, name, value, help};
}
[[nodiscard]] inline StateMetric stateGauge(std::string_view name, std::string_view label,
                                            const std::map<std::string, std::string>& states, std::string_view help) {
  return {name, label, states, help};
}

namespace detail {

struct JsonMetricWriter {
  nlohmann::json& out;
  template <class Number>
  void operator()(const Metric<Number>& metric) const {
    out[std::string(metric.name)] = metric.value;
  }
  void operator()(const StateMetric& metric) const { out[std::string(metric.name)] = metric.states; }
};

// "avgTTLMs" → "avg_ttl_ms"
inline std::string snakeCase(std::string_view name) {
  std::string snake;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (std::isupper(c) != 0) {
      const bool afterLower = i > 0 && std::isupper(static_cast<unsigned char>(name[i - 1])) == 0;
      const bool beforeLower = i > 0 && i + 1 < name.size() && std::islower(static_cast<unsigned char>(name[i + 1])) != 0;
      if (afterLower || beforeLower) snake += '_';
      snake += static_cast<char>(std::tolower(c));
    } else {
      snake += std::isalnum(c) != 0 ? static_cast<char>(c) : '_';
    }
  }
  return snake;
}

inline std::string escapeLabel(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

template <class Number>
std::string prometheusNumber(Number value) {
  if constexpr (std::floating_point<Number>) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  }
  return fmt::format("{}", value);
}

struct PrometheusWriter {
  std::string& out;
  std::string_view component;

  template <class Number>
  void operator()(const Metric<Number>& metric) const {
    std::string name = fmt::format("lukhas_{}_{}", component, snakeCase(metric.name));
    const bool counts = metric.kind == MetricKind::counter;
    if (counts) name += "_total";
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n{} {}\n", name, metric.help, name, counts ? "counter" : "gauge", name,
                       prometheusNumber(metric.value));
  }
  void operator()(const StateMetric& metric) const {
    const std::string name = fmt::format("lukhas_{}_{}", component, snakeCase(metric.name));
    out += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name, metric.help, name);
    for (const auto& [label, state] : metric.states) {
      out += fmt::format("{}{{{}=\"{}\",state=\"{}\"}} 1\n", name, metric.label, escapeLabel(label), escapeLabel(state));
    }
  }
};

}  // namespace detail

template <class Metrics>
[[nodiscard]] nlohmann::json metricsToJson(const Metrics& metrics) {
  nlohmann::json json = nlohmann::json::object();
  metrics.visit(detail::JsonMetricWriter{json});
  return json;
}

// The text exposition format of Prometheus (version 0.0.4): lukhas_<component>_<name in snake case>, counters with _total.
template <class Metrics>
[[nodiscard]] std::string toPrometheus(std::string_view component, const Metrics& metrics) {
  std::string text;
  metrics.visit(detail::PrometheusWriter{text, component});
  return text;
}

}  // namespace lukhas
