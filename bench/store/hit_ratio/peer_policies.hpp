// The peers, over numbered keys of equal weight: LRU, SIEVE, S3-FIFO and ARC.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "store/hit_ratio/key_list.hpp"

namespace hit_ratio {

// Each: access(key) is whether it is a hit; a miss brings the key in.

class Lru {
 public:
  Lru(std::size_t capacity, std::size_t keys)
      : capacity_(capacity), links_(keys), held_(keys), order_(links_) {}

  bool access(Key key) {
    const bool hit = held_[key];
    if (hit) {
      order_.remove(key);
    } else if (order_.size() == capacity_) {
      held_[order_.popOldest()] = false;
    }
    order_.push(key);
    held_[key] = true;
    return hit;
  }

 private:
  std::size_t capacity_;
  std::vector<KeyLinks> links_;
  std::vector<bool> held_;
  KeyList order_;
};

// Zhang et al., "SIEVE is Simpler than LRU", 2024.
class Sieve {
 public:
  Sieve(std::size_t capacity, std::size_t keys)
      : capacity_(capacity), links_(keys), held_(keys), visited_(keys), order_(links_) {}

  bool access(Key key) {
    if (held_[key]) {
      visited_[key] = true;
      return true;
    }
    if (order_.size() == capacity_) evict();
    order_.push(key);
    held_[key] = true;
    visited_[key] = false;
    return false;
  }

 private:
  void evict() {
    Key at = hand_ == noKey ? order_.oldest() : hand_;
    while (visited_[at]) {
      visited_[at] = false;
      at = order_.newerThan(at);
      if (at == noKey) at = order_.oldest();
    }
    hand_ = order_.newerThan(at);
    order_.remove(at);
    held_[at] = false;
  }

  std::size_t capacity_;
  std::vector<KeyLinks> links_;
  std::vector<bool> held_;
  std::vector<bool> visited_;
  KeyList order_;
  Key hand_ = noKey;
};

// Yang et al., "FIFO Queues are All You Need for Cache Eviction", 2023: a tenth is the small queue, the
// ghost has as many keys as the main queue.
class S3Fifo {
 public:
  S3Fifo(std::size_t capacity, std::size_t keys)
      : capacity_(capacity),
        smallCapacity_(std::max<std::size_t>(1, capacity / 10)),
        links_(keys),
        place_(keys),
        uses_(keys),
        small_(links_),
        main_(links_),
        ghost_(links_) {}

  bool access(Key key) {
    if (place_[key] == Place::small || place_[key] == Place::main) {
      uses_[key] = static_cast<std::uint8_t>(std::min(uses_[key] + 1, 3));
      return true;
    }
    const bool known = place_[key] == Place::ghost;
    if (known) ghost_.remove(key);
    place_[key] = Place::none;
    while (small_.size() + main_.size() >= capacity_) {
      small_.size() >= smallCapacity_ || main_.size() == 0 ? evictSmall() : evictMain();
    }
    uses_[key] = 0;
    (known ? main_ : small_).push(key);
    place_[key] = known ? Place::main : Place::small;
    return false;
  }

 private:
  enum class Place : std::uint8_t { none, small, main, ghost };

  void evictSmall() {
    while (small_.size() > 0) {
      const Key key = small_.popOldest();
      if (uses_[key] <= 1) return remember(key);
      uses_[key] = 0;
      main_.push(key);
      place_[key] = Place::main;
      if (main_.size() > capacity_ - smallCapacity_) evictMain();
    }
  }
  void evictMain() {
    while (main_.size() > 0) {
      const Key key = main_.popOldest();
      if (uses_[key] == 0) {
        place_[key] = Place::none;
        return;
      }
      --uses_[key];
      main_.push(key);
    }
  }
  void remember(Key key) {
    ghost_.push(key);
    place_[key] = Place::ghost;
    if (ghost_.size() > capacity_ - smallCapacity_) place_[ghost_.popOldest()] = Place::none;
  }

  std::size_t capacity_;
  std::size_t smallCapacity_;
  std::vector<KeyLinks> links_;
  std::vector<Place> place_;
  std::vector<std::uint8_t> uses_;
  KeyList small_;
  KeyList main_;
  KeyList ghost_;
};

// Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", 2003; names as in its figure 4.
class Arc {
 public:
  Arc(std::size_t capacity, std::size_t keys)
      : capacity_(capacity), links_(keys), place_(keys), t1_(links_), t2_(links_), b1_(links_), b2_(links_) {}

  bool access(Key key) {
    const Place place = place_[key];
    if (place == Place::t1 || place == Place::t2) {
      (place == Place::t1 ? t1_ : t2_).remove(key);
      put(t2_, key, Place::t2);
      return true;
    }
    if (place == Place::none) {
      admit(key);
    } else {
      remembered(key, place);
    }
    return false;
  }

 private:
  enum class Place : std::uint8_t { none, t1, t2, b1, b2 };

  void put(KeyList& to, Key key, Place place) {
    to.push(key);
    place_[key] = place;
  }
  void drop(KeyList& from) { place_[from.popOldest()] = Place::none; }
  void replace(Place asked) {
    const auto recent = static_cast<double>(t1_.size());
    const bool fromRecent = t1_.size() > 0 && (recent > p_ || (asked == Place::b2 && recent == p_));
    if (fromRecent || t2_.size() == 0) {
      put(b1_, t1_.popOldest(), Place::b1);
    } else {
      put(b2_, t2_.popOldest(), Place::b2);
    }
  }
  void remembered(Key key, Place place) {
    const auto b1 = static_cast<double>(b1_.size());
    const auto b2 = static_cast<double>(b2_.size());
    p_ = place == Place::b1 ? std::min(static_cast<double>(capacity_), p_ + std::max(1.0, b2 / b1))
                            : std::max(0.0, p_ - std::max(1.0, b1 / b2));
    replace(place);
    (place == Place::b1 ? b1_ : b2_).remove(key);
    put(t2_, key, Place::t2);
  }
  void admit(Key key) {
    const std::size_t all = t1_.size() + t2_.size() + b1_.size() + b2_.size();
    if (t1_.size() + b1_.size() == capacity_) {
      if (b1_.size() == 0) {
        drop(t1_);
      } else {
        drop(b1_);
        replace(Place::none);
      }
    } else if (all >= capacity_) {
      if (all == 2 * capacity_) drop(b2_);
      if (t1_.size() + t2_.size() >= capacity_) replace(Place::none);
    }
    put(t1_, key, Place::t1);
  }

  std::size_t capacity_;
  double p_ = 0;  // the target of t1
  std::vector<KeyLinks> links_;
  std::vector<Place> place_;
  KeyList t1_;
  KeyList t2_;
  KeyList b1_;
  KeyList b2_;
};

}  // namespace hit_ratio
