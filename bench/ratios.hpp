// Ratios between benchmarks of one run, beside what was hoped for.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

namespace bench {

// Nanoseconds an item, the best of all repetitions: what disturbs a run on a shared machine only adds to it.
using Times = std::map<std::string, double>;

struct Goal {
  std::string what;
  std::string goal;                              // in words
  std::function<double(const Times&)> measured;  // throws std::out_of_range when a benchmark was not run
  std::function<bool(double)> met;
  std::string unit = "x";
};

[[nodiscard]] inline Goal atMost(std::string what, double limit, std::string unit,
                                 std::function<double(const Times&)> measured) {
  return {std::move(what), fmt::format("<= {:g}", limit), std::move(measured),
          [limit](double value) { return value <= limit; }, std::move(unit)};
}
[[nodiscard]] inline Goal atLeast(std::string what, double limit, std::string unit,
                                  std::function<double(const Times&)> measured) {
  return {std::move(what), fmt::format(">= {:g}", limit), std::move(measured),
          [limit](double value) { return value >= limit; }, std::move(unit)};
}

class CollectingReporter : public benchmark::ConsoleReporter {
 public:
  explicit CollectingReporter(OutputOptions options) : ConsoleReporter(options) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      const auto rate = run.counters.find("items_per_second");
      const double each = rate == run.counters.end() ? run.GetAdjustedRealTime() : 1e9 / rate->second.value;
      const std::string name =
          run.run_name.function_name + (run.run_name.args.empty() ? std::string() : "/" + run.run_name.args);
      const auto [known, isNew] = times.emplace(name, each);
      if (!isNew) known->second = std::min(known->second, each);
    }
  }

  Times times;
};

// Runs the benchmarks that the command line asks for, then writes a line for each goal that they allow.
inline int runWithGoals(int argc, char** argv, const std::vector<Goal>& goals) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  CollectingReporter reporter(benchmark::ConsoleReporter::OO_Tabular);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::Shutdown();

  fmt::print("\n{:<64} {:>12} {:>10}\n", "in this run, the best of its repetitions", "measured", "goal");
  for (const Goal& goal : goals) {
    try {
      const double value = goal.measured(reporter.times);
      fmt::print("{:<64} {:>9.2f} {:<2} {:>10}  {}\n", goal.what, value, goal.unit, goal.goal,
                 goal.met(value) ? "met" : "missed");
    } catch (const std::out_of_range&) {
      fmt::print("{:<64} {:>12} {:>10}\n", goal.what, "not run", goal.goal);
    }
  }
  return 0;
}

}  // namespace bench
