// Made-up loads with fixed seeds: by which the policy was tuned, and others that it was only judged by.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/hit_ratio/trace.hpp"

namespace hit_ratio {

using Accesses = std::vector<std::uint64_t>;

// Appends accesses to a trace. Each call draws on keys of its own, unless it is told where they begin.
class Writer {
 public:
  explicit Writer(std::uint64_t seed) : random_(seed) {}

  [[nodiscard]] Accesses take() { return std::exchange(accesses_, {}); }
  [[nodiscard]] std::size_t size() const { return accesses_.size(); }
  [[nodiscard]] std::size_t below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }
  [[nodiscard]] double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  [[nodiscard]] std::uint64_t freshKeys() { return freshKeys_ += std::uint64_t{1} << 32; }
  void put(std::uint64_t key) { accesses_.push_back(key); }

  void loop(std::size_t length, std::size_t count) { loopAt(freshKeys(), length, count); }
  void loopAt(std::uint64_t first, std::size_t length, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) put(first + i % length);
  }
  // The most popular key moves on by half of the keys every `moves` accesses.
  void zipf(std::size_t keys, double skew, std::size_t count, std::size_t moves = ~std::size_t{0}) {
    const std::vector<double> sums = zipfSums(keys, skew);
    const std::uint64_t first = freshKeys();
    for (std::size_t i = 0; i < count; ++i) put(first + i / moves * (keys / 2) + rank(sums));
  }
  // A key is used again at an LRU stack distance with a Pareto tail, or is new.
  void recency(double scale, double shape, double fresh, std::size_t count) {
    Accesses stack;
    std::uint64_t next = freshKeys();
    for (std::size_t i = 0; i < count; ++i) {
      const double distance = scale * (std::pow(1 - uniform(), -1 / shape) - 1);
      std::uint64_t key = next;
      if (uniform() < fresh || distance >= static_cast<double>(stack.size())) {
        ++next;
      } else {
        const auto at = stack.end() - 1 - static_cast<std::ptrdiff_t>(distance);
        key = *at;
        stack.erase(at);
      }
      stack.push_back(key);
      put(key);
    }
  }
  // Each key twice, within about `gap` accesses, and never again.
  void twice(std::size_t gap, std::size_t count) {
    std::multimap<std::size_t, std::uint64_t> due;
    std::uint64_t next = freshKeys();
    for (std::size_t i = 0; i < count; ++i) {
      if (!due.empty() && due.begin()->first <= i) {
        put(due.begin()->second);
        due.erase(due.begin());
      } else {
        due.emplace(i + 1 + below(gap), next);
        put(next++);
      }
    }
  }
  // Runs of keys that are each gone through a few times, one run after the other, round and round.
  void nested(std::size_t keys, std::size_t longestRun, std::size_t mostRounds, std::size_t count) {
    const std::uint64_t first = freshKeys();
    const std::size_t end = size() + count;
    for (std::size_t at = 0; size() < end;) {
      const std::size_t run = 1 + below(longestRun);
      const std::size_t rounds = 1 + below(mostRounds);
      for (std::size_t i = 0; i < run * rounds && size() < end; ++i) put(first + (at + i % run) % keys);
      at += run;
    }
  }
  // For each row of a table a scan of another one, with an index between.
  void join(std::size_t inner, std::size_t outer, std::size_t index, std::size_t count) {
    const std::vector<double> sums = zipfSums(index, 0.9);
    const std::uint64_t rows = freshKeys();
    const std::uint64_t scanned = freshKeys();
    const std::uint64_t indexed = freshKeys();
    const std::size_t end = size() + count;
    for (std::size_t row = 0; size() < end; ++row) {
      put(rows + row % outer);
      for (std::size_t i = 0; i < inner && size() < end; ++i) {
        put(scanned + i);
        if (i % 4 == 0) put(indexed + rank(sums));
      }
    }
  }
  // Turns between the parts, in bursts, as long as all of them last.
  void interleave(const std::vector<Accesses>& parts, std::size_t longestBurst) {
    std::vector<std::size_t> at(parts.size());
    while (true) {
      const std::size_t part = below(parts.size());
      for (std::size_t burst = 1 + below(longestBurst); burst > 0; --burst) {
        if (at[part] == parts[part].size()) return;
        put(parts[part][at[part]++]);
      }
    }
  }
  // Every `every` accesses of `base` a scan of `length` keys: always the same ones, or always new ones.
  enum class Scanned : std::uint8_t { same, fresh };
  void withScans(const Accesses& base, std::size_t every, std::size_t length, Scanned which) {
    const std::uint64_t first = freshKeys();
    std::uint64_t next = first;
    for (std::size_t i = 0; i < base.size(); ++i) {
      put(base[i]);
      if (i % every != every - 1) continue;
      if (which == Scanned::same) next = first;
      for (std::size_t j = 0; j < length; ++j) put(next++);
    }
  }

  [[nodiscard]] static std::vector<double> zipfSums(std::size_t keys, double skew) {
    std::vector<double> sums(keys);
    double sum = 0;
    for (std::size_t i = 0; i < keys; ++i) sums[i] = sum += std::pow(static_cast<double>(i + 1), -skew);
    return sums;
  }
  [[nodiscard]] std::size_t rank(const std::vector<double>& sums) {
    const auto at = std::upper_bound(sums.begin(), sums.end() - 1, uniform() * sums.back());
    return static_cast<std::size_t>(at - sums.begin());
  }

 private:
  std::mt19937_64 random_;
  Accesses accesses_;
  std::uint64_t freshKeys_ = 0;
};

using Families = std::vector<std::pair<std::string, std::function<void(Writer&)>>>;

[[nodiscard]] inline std::vector<Trace> written(const Families& families, std::uint64_t seed) {
  std::vector<Trace> traces;
  for (const auto& [name, write] : families) {
    Writer writer(seed++);
    write(writer);
    traces.push_back(numbered(name, writer.take()));
  }
  return traces;
}

// By these, with other seeds, and by the given traces, windows and constants were chosen.
[[nodiscard]] inline std::vector<Trace> tuningTraces(std::uint64_t seed = 1000) {
  const auto part = [](Writer& w, const std::function<void()>& write) {
    write();
    return w.take();
  };
  const Families families = {
      {"zipf 0.7", [](Writer& w) { w.zipf(8000, 0.7, 40000); }},
      {"zipf 0.9", [](Writer& w) { w.zipf(8000, 0.9, 40000); }},
      {"zipf 1.2", [](Writer& w) { w.zipf(8000, 1.2, 40000); }},
      {"zipf moves", [](Writer& w) { w.zipf(1500, 0.9, 40000, 6000); }},
      {"zipf+scans",
       [&](Writer& w) {
         const Accesses base = part(w, [&] { w.zipf(2000, 0.9, 40000); });
         w.withScans(base, 3000, 1500, Writer::Scanned::fresh);
       }},
      {"zipf+rescans",
       [&](Writer& w) {
         const Accesses base = part(w, [&] { w.zipf(2000, 0.9, 40000); });
         w.withScans(base, 4000, 1500, Writer::Scanned::same);
       }},
      {"recency near", [](Writer& w) { w.recency(30, 0.5, 0.05, 40000); }},
      {"recency mid", [](Writer& w) { w.recency(100, 1.0, 0.1, 40000); }},
      {"recency far", [](Writer& w) { w.recency(300, 2.5, 0.15, 40000); }},
      {"twice near", [](Writer& w) { w.twice(150, 40000); }},
      {"twice far", [](Writer& w) { w.twice(500, 40000); }},
      {"three loops",
       [&](Writer& w) {
         std::vector<Accesses> parts;
         for (const std::size_t length : {100U, 500U, 2500U}) {
           parts.push_back(part(w, [&] { w.loop(length, 13000); }));
         }
         w.interleave(parts, 30);
       }},
      {"loop+zipf",
       [&](Writer& w) {
         const Accesses loop = part(w, [&] { w.loop(1500, 20000); });
         w.interleave({loop, part(w, [&] { w.zipf(2000, 0.9, 20000); })}, 40);
       }},
      {"loop+recency",
       [&](Writer& w) {
         const Accesses loop = part(w, [&] { w.loop(1200, 20000); });
         w.interleave({loop, part(w, [&] { w.recency(80, 1.2, 0.12, 20000); })}, 60);
       }},
      {"nested loops", [](Writer& w) { w.nested(3000, 300, 5, 20000); }},
      {"join", [](Writer& w) { w.join(600, 3000, 800, 20000); }},
      {"two pools",
       [](Writer& w) {
         for (std::size_t i = 0; i < 40000; ++i) w.put(i % 2 == 0 ? w.below(100) : 1000 + w.below(10000));
       }},
      {"zipf, recency",
       [](Writer& w) {
         for (int phase = 0; phase < 2; ++phase) {
           w.zipf(3000, 0.9, 10000);
           w.recency(150, 2.0, 0.15, 10000);
         }
       }},
      {"loop, twice",
       [](Writer& w) {
         for (int phase = 0; phase < 2; ++phase) {
           w.loop(1300, 10000);
           w.twice(200, 10000);
         }
       }},
      {"flash crowds",
       [](Writer& w) {  // one key at a time is asked for by a third of all accesses, for a while
         const std::vector<double> sums = Writer::zipfSums(6000, 0.8);
         for (std::size_t i = 0; i < 40000; ++i) {
           w.put(w.below(3) == 0 ? 1000000 + i / 300 : w.rank(sums));
         }
       }},
      {"back and forth",
       [](Writer& w) {  // a scan that turns around at both ends
         for (std::size_t i = 0; i < 30000; ++i) w.put(i / 1500 % 2 == 0 ? i % 1500 : 1499 - i % 1500);
       }},
      {"loops at chance",
       [](Writer& w) {
         std::vector<std::uint64_t> first;
         for (int i = 0; i < 12; ++i) first.push_back(w.freshKeys());
         while (w.size() < 40000) {
           const std::size_t which = w.below(first.size());
           const std::size_t length = 50 + 60 * which;
           w.loopAt(first[which], length, length * (1 + w.below(3)));
         }
       }},
      {"all in turn",
       [](Writer& w) {
         w.recency(60, 1.0, 0.1, 7000);
         w.loop(900, 6000);
         w.nested(1500, 200, 4, 7000);
         w.zipf(2500, 1.0, 7000);
         w.zipf(800, 1.0, 7000, 3000);
         w.join(300, 3000, 300, 7000);
       }},
  };
  return written(families, seed);
}

// Written after the policy was done, and not used to change it.
[[nodiscard]] inline std::vector<Trace> heldOutTraces(std::uint64_t seed = 2000) {
  const Families families = {
      {"tree",
       [](Writer& w) {  // root, inner node, leaf; the leaves that are asked for drift
         for (std::size_t i = 0; i < 14000; ++i) {
           const std::size_t leaf = (i / 4 + w.below(1200) * w.below(4)) % 6000;
           w.put(0);
           w.put(100000 + leaf / 60);
           w.put(200000 + leaf);
         }
       }},
      {"queue",
       [](Writer& w) {  // what was written is read once, always after the same time, beside a few busy keys
         const std::vector<double> sums = Writer::zipfSums(300, 0.8);
         for (std::size_t i = 0; i < 13000; ++i) {
           w.put(1000 + i);
           if (i >= 400) w.put(1000 + i - 400);
           w.put(w.rank(sums));
         }
       }},
      {"stencil",
       [](Writer& w) {  // sweeps over a grid of 60 rows, each point with its neighbours
         for (std::size_t i = 0; i < 13000; ++i) {
           const std::size_t at = 60 + i % 3480;
           for (const std::size_t point : {at - 60, at, at + 60}) w.put(point);
         }
       }},
      {"merges",
       [](Writer& w) {  // two runs side by side, then twice as long ones, as in sorting
         for (std::size_t run = 32; run < 4096; run *= 2) {
           for (std::size_t i = 0; i < 4096; ++i) w.put(i / (2 * run) * 2 * run + i % 2 * run + i / 2 % run);
         }
       }},
      {"sliding loop",
       [](Writer& w) {  // a loop that drops its first keys and takes new ones at its end
         for (std::size_t round = 0; round < 40; ++round) {
           for (std::size_t i = 0; i < 1000; ++i) w.put(round * 100 + i);
         }
       }},
      {"matrix",
       [](Writer& w) {  // by rows, by columns, alternately
         for (std::size_t i = 0; i < 20000; ++i)
           w.put(i / 2500 % 2 == 0 ? i % 2500 : i % 50 * 50 + i / 50 % 50);
       }},
      {"random walk",
       [](Writer& w) {
         std::size_t at = 500000;
         for (std::size_t i = 0; i < 40000; ++i) w.put((at += w.below(41) - 20));
       }},
      {"pairs in zipf",
       [](Writer& w) {  // whoever reads a key reads two more of its group a little later
         const std::vector<double> sums = Writer::zipfSums(3000, 0.7);
         std::vector<std::uint64_t> open(16);
         for (std::size_t i = 0; i < 40000; ++i) {
           std::uint64_t& session = open[w.below(open.size())];
           session = session % 3 == 2 ? 3 * w.rank(sums) : session + 1;
           w.put(session);
         }
       }},
      {"uniform",
       [](Writer& w) {
         for (std::size_t i = 0; i < 40000; ++i) w.put(w.below(5000));
       }},
      {"zipf, 10x larger", [](Writer& w) { w.zipf(80000, 0.9, 300000); }},
      {"recency, larger", [](Writer& w) { w.recency(1500, 1.5, 0.1, 150000); }},
  };
  return written(families, seed);
}

// Written before the policy moved into the library and was tuned again, and not used to change it.
[[nodiscard]] inline std::vector<Trace> newlyHeldOutTraces(std::uint64_t seed = 3000) {
  const Families families = {
      {"sessions",
       [](Writer& w) {  // some are open at a time; each goes over its own keys in turns of chance, then ends
         std::vector<std::uint64_t> open(40);
         for (std::uint64_t& session : open) session = w.freshKeys();
         for (std::size_t i = 0; i < 40000; ++i) {
           std::uint64_t& session = open[w.below(open.size())];
           if (w.below(120) == 0) session = w.freshKeys();
           w.put(session + std::min(w.below(25), w.below(25)));
         }
       }},
      {"agents",
       [](Writer& w) {  // each reads a shared prompt, then its own contexts over and over, one more each turn
         const std::vector<double> sums = Writer::zipfSums(500, 1.0);
         while (w.size() < 40000) {
           const std::uint64_t own = w.freshKeys();
           const std::size_t turns = 2 + w.below(30);
           for (std::size_t turn = 1; turn <= turns; ++turn) {
             w.put(w.rank(sums));
             for (std::size_t i = 0; i < turn; ++i) w.put(own + i);
           }
         }
       }},
      {"batch by night",
       [](Writer& w) {  // a day of Zipf whose keys drift, then the same reading of all, day after day
         const std::vector<double> sums = Writer::zipfSums(2500, 1.0);
         for (std::size_t day = 0; day < 6; ++day) {
           for (std::size_t i = 0; i < 6000; ++i) w.put((w.rank(sums) + day * 40) % 2500);
           for (std::size_t i = 0; i < 2500; ++i) w.put(i);
         }
       }},
      {"three visits",
       [](Writer& w) {  // each key comes back after a moment and after long, and then never
         for (std::size_t i = 0; i < 14000; ++i) {
           w.put(5000 + i);
           if (i >= 20) w.put(5000 + i - 20);
           if (i >= 900) w.put(5000 + i - 900);
         }
       }},
      {"even phases",
       [](Writer& w) {  // phases that LRU and a small window hit nearly alike, each with keys of its own
         for (int phase = 0; phase < 5; ++phase) {
           w.zipf(900, 0.6, 4000);
           w.recency(250, 1.8, 0.2, 4000);
         }
       }},
      {"loop at the edge",
       [](Writer& w) {  // loops a little longer and a little shorter than one another
         for (std::size_t round = 0; round < 12; ++round) w.loopAt(1000000, 850 + 60 * (round % 6), 3400);
       }},
      {"stack of frames",
       [](Writer& w) {  // calls and returns
         std::size_t depth = 500;
         for (std::size_t i = 0; i < 40000; ++i) {
           const std::size_t run = 1 + w.below(30);
           const bool up = w.below(2) == 0 || depth < 40;
           for (std::size_t j = 0; j < run; ++j) w.put(up ? ++depth : --depth);
           i += run;
         }
       }},
      {"zipf of loops",
       [](Writer& w) {  // tables of many sizes, each read from one end to the other
         const std::vector<double> sums = Writer::zipfSums(60, 0.9);
         while (w.size() < 40000) {
           const std::size_t table = w.rank(sums);
           w.loopAt((table + 1) * 100000, 20 + table * 37 % 400, 20 + table * 37 % 400);
         }
       }},
      {"new and popular",
       [](Writer& w) {  // the younger a key is, the more it is asked for; a few stay popular for ever
         for (std::size_t i = 0; i < 40000; ++i) {
           const double far = 60 / (w.uniform() + 0.002) - 60;
           w.put(w.below(4) == 0
                     ? w.below(150)
                     : 100000 + i / 3 - std::min<std::size_t>(i / 3, static_cast<std::size_t>(far)));
         }
       }},
      {"recency, ten times", [](Writer& w) { w.recency(900, 1.1, 0.08, 250000); }},
  };
  return written(families, seed);
}

}  // namespace hit_ratio
