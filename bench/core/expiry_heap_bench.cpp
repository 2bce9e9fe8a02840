// ExpiryHeap with 2, 4, 8 and 16 children a node, and a hierarchical timer wheel, on the same operations; all
// in one run, taking turns; each figure is the best of the rounds.
//   expiry_heap_bench [ROUNDS]                  5 rounds, up to a million elements
//   expiry_heap_bench --benchmark_min_time=…    one small round, to see that it works
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/core/expiry_heap.hpp"
#include "timer_wheel.hpp"

namespace {

// As large as an entry of the TTL engine with a key of 40 bytes.
struct HeapNode : lukhas::ExpiryHook {
  char rest[76] = {};
};
struct WheelNode : lukhas::bench::WheelHook {
  char rest[76] = {};
};
template <std::size_t arity>
struct HeapPeer {
  using Node = HeapNode;
  lukhas::ExpiryHeap<HeapNode, std::int64_t, arity> queue;
};
struct WheelPeer {
  using Node = WheelNode;
  lukhas::bench::TimerWheel<WheelNode> queue;
};

constexpr std::int64_t hour = 3'600'000'000;  // microseconds

class Chance {
 public:
  std::int64_t below(std::int64_t end) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::int64_t>(state_ >> 33U) % end;
  }
  std::int64_t time() { return below(3600) * 1'000'000 + below(1'000'000); }

 private:
  std::uint64_t state_ = 1;
};

template <class Work>
double nsOf(Work&& work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begun).count();
}

// Rows of figures by peer: the best of each.
using Figures = std::map<std::string, std::map<std::string, double>>;

void note(Figures& figures, const char* peer, std::size_t count, const char* what, double value) {
  char row[64];
  std::snprintf(row, sizeof row, "%8zu elements  %s", count, what);
  const auto [cell, isNew] = figures[row].try_emplace(peer, value);
  if (!isNew) cell->second = std::min(cell->second, value);
}

template <class Peer>
void measure(Figures& figures, const char* name, std::size_t count) {
  using Node = typename Peer::Node;
  Chance chance;
  const auto places = static_cast<std::int64_t>(count);
  std::vector<std::unique_ptr<Node>> nodes(count);
  for (auto& node : nodes) node = std::make_unique<Node>();
  for (std::size_t i = count; i-- > 1;) {
    std::swap(nodes[i], nodes[static_cast<std::size_t>(chance.below(static_cast<std::int64_t>(i) + 1))]);
  }
  const auto peer = std::make_unique<Peer>();
  auto& queue = peer->queue;
  const auto each = [](double ns, std::size_t times) { return ns / static_cast<double>(times); };

  const double push = nsOf([&] {
    for (auto& node : nodes) queue.push(*node, chance.time());
  });
  note(figures, name, count, "1 push: ns", each(push, count));
  const double update = nsOf([&] {
    for (std::size_t i = 0; i < count; ++i) {
      queue.update(*nodes[static_cast<std::size_t>(chance.below(places))], chance.time());
    }
  });
  note(figures, name, count, "2 update: ns", each(update, count));

  double worstSlice = 0;
  std::size_t taken = 0;
  const double pop = nsOf([&] {
    while (taken < count) {
      std::size_t slice = 0;
      const double ns = nsOf(
          [&] { slice = queue.popExpired(hour, 1000, [](Node& node, std::int64_t) { node.rest[0] = 1; }); });
      worstSlice = std::max(worstSlice, ns);
      taken += slice;
    }
  });
  note(figures, name, count, "3 pop: ns", each(pop, count));
  note(figures, name, count, "4 worst slice of 1000 pops: us", worstSlice / 1000);
}

}  // namespace

int main(int argc, char** argv) {
  const bool isTrial = argc > 1 && std::strncmp(argv[1], "--", 2) == 0;
  const int rounds = isTrial ? 1 : argc > 1 ? std::atoi(argv[1]) : 5;
  Figures figures;
  for (int round = 0; round < rounds; ++round) {
    for (const std::size_t count : {1'000U, 10'000U, 100'000U, 1'000'000U}) {
      if (isTrial && count > 10'000) break;
      measure<HeapPeer<2>>(figures, "2", count);
      measure<HeapPeer<4>>(figures, "4", count);
      measure<HeapPeer<8>>(figures, "8", count);
      measure<HeapPeer<16>>(figures, "16", count);
      measure<WheelPeer>(figures, "wheel", count);
    }
  }
  std::printf("best of %d rounds\n%48s", rounds, "");
  const char* const peers[] = {"2", "4", "8", "16", "wheel"};
  for (const char* peer : peers) std::printf("%9s", peer);
  for (const auto& [row, cells] : figures) {
    std::printf("\n%-48s", row.c_str());
    for (const char* peer : peers) std::printf("%9.1f", cells.at(peer));
  }
  std::printf("\n");
}
