// KeyList: numbered keys in an order, for the peers of the simulation.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include "store/hit_ratio/trace.hpp"

namespace hit_ratio {

inline constexpr Key noKey = std::numeric_limits<Key>::max();

struct KeyLinks {
  Key newer = noKey;
  Key older = noKey;
};

// Lists that share `links` exclude each other: a key is in at most one of them.
class KeyList {
 public:
  explicit KeyList(std::vector<KeyLinks>& links) : links_(&links) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Key newest() const { return newest_; }
  [[nodiscard]] Key oldest() const { return oldest_; }
  [[nodiscard]] Key newerThan(Key key) const { return (*links_)[key].newer; }

  void push(Key key) {
    (*links_)[key] = {noKey, newest_};
    (newest_ == noKey ? oldest_ : (*links_)[newest_].newer) = key;
    newest_ = key;
    ++size_;
  }
  void remove(Key key) {
    const KeyLinks at = (*links_)[key];
    (at.newer == noKey ? newest_ : (*links_)[at.newer].older) = at.older;
    (at.older == noKey ? oldest_ : (*links_)[at.older].newer) = at.newer;
    --size_;
  }
  Key popOldest() {
    const Key key = oldest_;
    remove(key);
    return key;
  }

 private:
  std::vector<KeyLinks>* links_;
  Key newest_ = noKey;
  Key oldest_ = noKey;
  std::size_t size_ = 0;
};

}  // namespace hit_ratio
