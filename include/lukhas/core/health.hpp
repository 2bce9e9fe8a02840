// HealthReport: whether a component is well, and if not, which figure says so.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace lukhas {

struct HealthIssue {
  std::string code;     // for programs: "high_timeout_rate"
  std::string message;  // for people: "5.2 % of the lock requests timed out"
  double value = 0;     // the figure
  double limit = 0;     // what it should not exceed
};

struct HealthReport {
  bool healthy = true;
  std::vector<HealthIssue> issues;

  void report(std::string code, std::string message, double value, double limit) {
    healthy = false;
    issues.push_back({std::move(code), std::move(message), value, limit});
  }
  // Takes over another component's issues, with its name in front of their codes.
  void append(std::string_view component, const HealthReport& other) {
    healthy = healthy && other.healthy;
    for (HealthIssue issue : other.issues) {
      issue.code.insert(0, std::string(component) + ".");
      issues.push_back(std::move(issue));
    }
  }
  [[nodiscard]] nlohmann::json toJson() const {
    nlohmann::json list = nlohmann::json::array();
    for (const HealthIssue& issue : issues) {
      list.push_back({{"code", issue.code}, {"message", issue.message}, {"value", issue.value}, {"limit", issue.limit}});
    }
    return {{"healthy", healthy}, {"issues", std::move(list)}};
  }
};

}  // namespace lukhas
