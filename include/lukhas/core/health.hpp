// HealthReport: whether a component is well, and if not, which figure says so.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace lukhas {

// One thing that is wrong, with the figure that shows it and the limit that it broke.
struct HealthIssue {
  std::string code;     // for programs: "high_timeout_rate"
  std::string message;  // for people: "5.2 % of the lock requests timed out"
  double value = 0;     // the figure, in the unit of the message
  double limit = 0;     // what it should not pass
};

// What a component's healthCheck() returns, and what ContextSystem adds up of all of them.
//
//   lukhas::HealthReport health;
//   if (rate > 5) health.report("high_timeout_rate", fmt::format("{:.1f} % timed out", rate), rate, 5);
//   all.append("lock", locks.healthCheck());   // "lock.high_timeout_rate"
//
// `healthy` is true as long as nothing was reported.
struct HealthReport {
  bool healthy = true;
  std::vector<HealthIssue> issues;

  void report(std::string code, std::string message, double value, double limit) {
    issues.push_back(HealthIssue{std::move(code), std::move(message), value, limit});
    healthy = false;
  }

  // Takes over the issues of a part, with the part's name and a dot in front of their codes.
  void append(std::string_view component, HealthReport part) {
    healthy = healthy && part.healthy;
    for (HealthIssue& issue : part.issues) {
      issue.code.insert(0, 1, '.').insert(0, component);
      issues.push_back(std::move(issue));
    }
  }

  // {"healthy": false, "issues": [{"code": …, "limit": …, "message": …, "value": …}]}
  [[nodiscard]] nlohmann::json toJson() const {
    nlohmann::json list = nlohmann::json::array();
    for (const HealthIssue& issue : issues) {
      nlohmann::json entry;
      entry["code"] = issue.code;
      entry["message"] = issue.message;
      entry["value"] = issue.value;
      entry["limit"] = issue.limit;
      list.push_back(std::move(entry));
    }
    nlohmann::json json;
    json["healthy"] = healthy;
    json["issues"] = std::move(list);
    return json;
  }
};

}  // namespace lukhas
