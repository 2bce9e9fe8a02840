// Hit ratios of eviction policies, in %:
//   hit_ratio_bench [FILE:SIZE,SIZE...]...     one key a line; without files, loads that are made up
//   hit_ratio_bench --cost                     what the policies cost: ns an access, bytes an entry
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/hit_ratio/belady.hpp"
#include "store/hit_ratio/peer_policies.hpp"
#include "store/hit_ratio/synthetic_traces.hpp"
#include "store/hit_ratio/trace.hpp"
#include "store/hit_ratio/window_policies.hpp"

namespace {

using namespace hit_ratio;

constexpr std::array columns = {"LRU", "SIEVE", "S3-FIFO", "ARC", "1 %", "climbing", "adaptive", "OPT"};
using Row = std::array<double, columns.size()>;

struct Load {
  Trace trace;
  std::vector<std::size_t> sizes;
};

template <class Policy>
double ratioOf(const Trace& trace, Policy policy) {
  const auto hits =
      std::count_if(trace.keys.begin(), trace.keys.end(), [&policy](Key key) { return policy.access(key); });
  return 100.0 * static_cast<double>(hits) / static_cast<double>(trace.keys.size());
}

Row rowOf(const Trace& trace, std::size_t size) {
  const std::size_t keys = trace.distinct;
  const double best =
      100.0 * static_cast<double>(beladyHits(trace, size)) / static_cast<double>(trace.keys.size());
  return {ratioOf(trace, Lru(size, keys)),
          ratioOf(trace, Sieve(size, keys)),
          ratioOf(trace, S3Fifo(size, keys)),
          ratioOf(trace, Arc(size, keys)),
          ratioOf(trace, WTinyLfu(size, keys, 0.01)),
          ratioOf(trace, ClimbingWTinyLfu(size, keys)),
          ratioOf(trace, Adaptive(size, keys)),
          best};
}

void print(std::string_view name, std::string_view size, const Row& row) {
  std::printf("| %.*s | %.*s |", static_cast<int>(name.size()), name.data(), static_cast<int>(size.size()),
              size.data());
  for (const double ratio : row) std::printf(" %.2f |", ratio);
  std::printf("\n");
}

void printTable(std::string_view title, const std::vector<Load>& loads) {
  std::printf("\n%.*s\n\n| trace | size |", static_cast<int>(title.size()), title.data());
  for (const char* column : columns) std::printf(" %s |", column);
  std::printf("\n| --- | --- |");
  for (std::size_t i = 0; i < columns.size(); ++i) std::printf(" --- |");
  std::printf("\n");
  Row mean{};
  Row worst{};
  std::size_t rows = 0;
  for (const auto& [trace, sizes] : loads) {
    for (const std::size_t size : sizes) {
      const Row row = rowOf(trace, size);
      print(trace.name, std::to_string(size), row);
      ++rows;
      for (std::size_t i = 0; i < row.size(); ++i) {
        mean[i] += row[i];
        worst[i] = std::min(worst[i], row[i] - row[0]);
      }
    }
  }
  for (double& ratio : mean) ratio /= static_cast<double>(rows);
  print("mean", "", mean);
  print("worst against LRU", "", worst);
}

// At 2, 10 and 35 % of the keys.
std::vector<Load> scaled(std::vector<Trace> traces) {
  std::vector<Load> loads;
  for (Trace& trace : traces) {
    std::vector<std::size_t> sizes;
    for (const std::size_t percent : {2U, 10U, 35U}) sizes.push_back(trace.distinct * percent / 100 + 1);
    loads.push_back({std::move(trace), std::move(sizes)});
  }
  return loads;
}

std::vector<Load> loopOf1011() {
  Writer writer(1);
  writer.loop(1011, 60660);
  return {{numbered("loop", writer.take()), {256, 512, 768}}};
}

std::vector<Load> twiceAndNeverAgain() {
  Writer writer(1);
  writer.twice(100, 100000);
  return {{numbered("twice", writer.take()), {200, 1000, 5000}}};
}

template <class Policy>
double nanosecondsOf(const Trace& trace, Policy&& policy) {
  for (const Key key : trace.keys) policy.access(key);  // to fill it
  const auto begin = std::chrono::steady_clock::now();
  for (const Key key : trace.keys) policy.access(key);
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / static_cast<double>(trace.keys.size());
}

// Keys in a Zipf distribution, of which a fifth fits.
void printCosts() {
  std::printf(
      "| entries | LRU ns | S3-FIFO ns | W-TinyLFU 1 %% ns | adaptive ns | adaptive bytes an entry |\n");
  std::printf("| --- | --- | --- | --- | --- | --- |\n");
  for (const std::size_t size : {64U, 256U, 2048U, 16384U, 100000U, 1000000U}) {
    Writer writer(1);
    writer.zipf(5 * size, 0.9, std::max<std::size_t>(1000000, 8 * size));
    const Trace trace = numbered("zipf", writer.take());
    const std::size_t keys = trace.distinct;
    Adaptive adaptive(size, keys);
    const double ns = nanosecondsOf(trace, adaptive);
    std::printf("| %zu | %.0f | %.0f | %.0f | %.0f | %.1f |\n", size, nanosecondsOf(trace, Lru(size, keys)),
                nanosecondsOf(trace, S3Fifo(size, keys)), nanosecondsOf(trace, WTinyLfu(size, keys, 0.01)),
                ns, static_cast<double>(adaptive.memoryBytes()) / static_cast<double>(size));
  }
}

Load readLoad(const std::string& argument) {
  const std::size_t colon = argument.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("no sizes given: " + argument);
  Load load{readTrace(argument.substr(0, colon)), {}};
  std::istringstream sizes(argument.substr(colon + 1));
  for (std::string size; std::getline(sizes, size, ',');) load.sizes.push_back(std::stoul(size));
  return load;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc > 1 && std::string_view(argv[1]) == "--cost") {
    printCosts();
    return 0;
  }
  std::vector<Load> given;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (!argument.starts_with("--")) given.push_back(readLoad(argument));  // the others are the harness's
  }
  if (!given.empty()) {
    printTable("Given traces", given);
    return 0;
  }
  printTable("A loop over 1,011 keys", loopOf1011());
  printTable("Each key twice shortly after another and never again", twiceAndNeverAgain());
  printTable("Loads by which the policy was tuned", scaled(tuningTraces()));
  printTable("Loads held out", scaled(heldOutTraces()));
  printTable("Loads held out since the policy is in the library", scaled(newlyHeldOutTraces()));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "hit_ratio_bench: %s\n", e.what());
  return 1;
}
