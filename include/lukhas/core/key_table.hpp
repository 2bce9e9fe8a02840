// KeyTable: finds objects by their key, and grows and shrinks one bucket at a time.
#pragma once

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string_view>

#include "lukhas/core/chunked_array.hpp"
#include "lukhas/core/prefetch.hpp"

namespace lukhas {

// What an element carries so that a KeyTable can link it: derive from it. It belongs to the object, not to
// its value, so a copy of an element is in no table.
struct KeyHook {
  explicit KeyHook(std::uint64_t hash) noexcept : keyHash(hash) {}
  KeyHook(const KeyHook& other) noexcept : keyHash(other.keyHash) {}
  KeyHook& operator=(const KeyHook&) = delete;

  const std::uint64_t keyHash;
  KeyHook* nextInBucket = nullptr;
};

// How a table reads and links elements that derive from KeyHook.
template <class Node>
struct KeyHookLinks {
  using Bucket = KeyHook*;                             // the first one's
  static constexpr std::size_t elementsPerBucket = 1;  // how full the table becomes
  static constexpr bool checked = false;               // whether a damaged link can be told

  static std::uint64_t hash(const Node& node) noexcept { return hook(node).keyHash; }
  static Node* next(const Node& node) noexcept { return static_cast<Node*>(hook(node).nextInBucket); }
  static void setNext(Node& node, Node* next) noexcept { static_cast<KeyHook&>(node).nextInBucket = next; }
  static Node* first(Bucket bucket) noexcept { return static_cast<Node*>(bucket); }
  // It will be looked at, and perhaps is what is looked for: the key is mostly in its second line.
  static void approach(const Node& node) noexcept {
    prefetch(reinterpret_cast<const char*>(&hook(node)) + cacheLineBytes);
  }

 private:
  static const KeyHook& hook(const Node& node) noexcept { return node; }
};

// An intrusive hash table by linear hashing (Litwin, "Linear hashing: a new tool for file and table
// addressing", 1980): with b buckets and m the power of two at or above b, an element lies in bucket
// hash % m, or, where that is b or more, in hash % (m/2). Each insert beyond one element a bucket splits one
// bucket, so that no insert ever stops to rehash the whole: an ordinary table of a million keys does for tens
// of milliseconds, which on an io_context is a stall of everything.
//
//   struct Session : lukhas::KeyHook { std::string_view key() const; … };
//   lukhas::KeyTable<Session> table;
//   table.reserve(table.size() + 1);                          // the only call that can fail
//   table.insert(session);                                    // session.keyHash == hash
//   Session* found = table.find(key, hash);
//
// The caller computes the hash, as a hash64 with a seed of its own, so that nobody outside can choose keys
// that fall into one bucket.
//
// The buckets lie in a ChunkedArray: none ever moves, and a bucket is written when it is split off. A table
// that empties keeps its first chunk of 512 bytes until release().
//
// Costs. find, insert, erase, replace: O(1) expected, and O(1) in the worst case but for the length of a
// bucket. The order of the elements means nothing, so nothing walks through them but checks.
//
// Elements that keep hash and link in a form of their own give Links with the members of KeyHookLinks. Those
// that can tell a damaged link are `checked`: they give null for one, and isCut() says so of its element or
// bucket. The table goes on without what lies behind; see isCut().
//
// Lifetime. The table neither owns its elements nor touches them when it is destroyed. Not thread-safe: the
// component that owns it guards it.
template <class Node, class Links = KeyHookLinks<Node>>
class KeyTable {
 public:
  // Null: operator new and delete. The resource outlives the table.
  explicit KeyTable(std::pmr::memory_resource* memory = nullptr) noexcept : buckets_(memory) {}
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return buckets_.memoryBytes(); }
  // What memoryBytes() is when reserve(elements) has been called.
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t elements) const noexcept {
    return buckets_.memoryBytesFor(bucketsFor(elements));
  }
  // The most that memoryBytes() can be with so many elements in it, whatever was in it before; with none,
  // after release().
  [[nodiscard]] static constexpr std::size_t memoryBound(std::size_t elements) noexcept {
    return Buckets::memoryBound(bucketsFor(elements * 2));
  }

  // Null when there is none.
  [[nodiscard]] Node* find(std::string_view key, std::uint64_t hash) const noexcept {
    if (size_ == 0) return nullptr;
    const std::size_t index = indexOf(hash);
    const Node* last = nullptr;
    for (Node* node = first(index); node; last = node, node = Links::next(*node)) {
      Links::approach(*node);
      if (Links::hash(*node) == hash && node->key() == key) return node;
    }
    noteEnd(last, index);
    return nullptr;
  }
  // Whether a damaged link was met since forget(): what find() did not find may then be there all the same.
  [[nodiscard]] bool isCut() const noexcept { return cut_; }
  // As find, and makes what it found the first of its bucket: what is asked for often is found at once.
  [[nodiscard]] Node* findAndPromote(std::string_view key, std::uint64_t hash) noexcept {
    if (size_ == 0) return nullptr;
    const std::size_t index = indexOf(hash);
    Node* before = nullptr;
    for (Node* node = first(index); node; before = node, node = Links::next(*node)) {
      Links::approach(*node);
      if (Links::hash(*node) != hash || node->key() != key) continue;
      if (before) {
        Links::setNext(*before, Links::next(*node));
        Links::setNext(*node, first(index));
        buckets_[index] = node;
      }
      return node;
    }
    noteEnd(before, index);
    return nullptr;
  }
  // Whether the element is in the table.
  [[nodiscard]] bool contains(const Node& node) const noexcept {
    if (size_ == 0) return false;
    for (const Node* at = first(indexOf(Links::hash(node))); at; at = Links::next(*at)) {
      if (at == &node) return true;
    }
    return false;
  }
  // To be called before an element with that hash is looked for or erased, the first long before and the
  // second some time after it: the bucket is fetched, and what it begins with.
  void prefetchBucket(std::uint64_t hash) const noexcept {
    if (size_ > 0) prefetch(&buckets_[indexOf(hash)]);
  }
  void prefetchElement(std::uint64_t hash) const noexcept {
    if (size_ > 0) prefetch(first(indexOf(hash)));
  }

  // Room for so many elements in all: that many inserts do not allocate. Throws std::bad_alloc, and then
  // nothing has changed.
  void reserve(std::size_t elements) { buckets_.reserve(bucketsFor(elements)); }

  // Precondition: room was reserved, and no element has its key.
  void insert(Node& node) noexcept {
    assert(buckets_.capacity() >= bucketsFor(size_ + 1));
    if (bucketCount_ == 0) {
      bucketCount_ = smallest;
      for (std::size_t i = 0; i < smallest; ++i) buckets_[i] = nullptr;
    }
    if (++size_ > bucketCount_ * Links::elementsPerBucket) split();
    const std::size_t index = indexOf(Links::hash(node));
    Links::setNext(node, first(index));
    buckets_[index] = &node;
  }

  // Precondition: the element is in the table. False, and nothing has changed, when it cannot be found there
  // because a link is damaged.
  bool erase(Node& node) noexcept {
    if (!setLinkTo(node, Links::next(node))) return false;
    --size_;
    while (bucketCount_ > smallest && bucketCount_ > bucketsFor(size_ * 2)) merge();  // at most twice
    buckets_.shrinkTo(bucketCount_);
    return true;
  }

  // `fresh`, which is in no table, takes the place of `old`, which has the same key.
  void replace(Node& old, Node& fresh) noexcept {
    Links::setNext(fresh, Links::next(old));
    setLinkTo(old, &fresh);
  }

  // Forgets all elements and keeps the memory. O(n).
  void forget() noexcept {
    for (std::size_t i = 0; i < bucketCount_; ++i) buckets_[i] = nullptr;
    size_ = 0;
    cut_ = false;
  }

  // Forgets all elements and gives the memory back.
  void release() noexcept {
    buckets_.shrinkTo(0);
    bucketCount_ = size_ = 0;
    cut_ = false;
  }

  // Calls visit(node) for each element, in an order that means nothing. `visit` may destroy the element, and
  // release() must follow then; it must not change the table otherwise. O(n).
  template <class Visit>
  void forEach(Visit&& visit) const {
    for (std::size_t i = 0; i < bucketCount_; ++i) {
      for (Node* node = first(i); node;) {
        Node* const next = Links::next(*node);
        visit(*node);
        node = next;
      }
    }
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < bucketCount_; ++i) {
      for (const Node* node = first(i); node; node = Links::next(*node)) {
        if (indexOf(Links::hash(*node)) != i) return false;
        ++seen;
      }
    }
    return seen == size_;
  }

 private:
  using Buckets = ChunkedArray<typename Links::Bucket>;
  static constexpr std::size_t smallest = Buckets::firstChunk;

  static constexpr std::size_t bucketsFor(std::size_t elements) noexcept {
    return (elements + Links::elementsPerBucket - 1) / Links::elementsPerBucket;
  }
  [[nodiscard]] Node* first(std::size_t index) const noexcept { return Links::first(buckets_[index]); }
  [[nodiscard]] std::size_t indexOf(std::uint64_t hash) const noexcept {
    const std::size_t mask = std::bit_ceil(bucketCount_) - 1;
    const std::size_t index = hash & mask;
    return index < bucketCount_ ? index : index & (mask >> 1U);
  }
  // Lets what leads to `node` lead to `next`.
  bool setLinkTo(const Node& node, Node* next) noexcept {
    const std::size_t index = indexOf(Links::hash(node));
    Node* before = first(index);
    if (before == &node) {
      buckets_[index] = next;
      return true;
    }
    for (Node* after = before; before; before = after) {
      after = Links::next(*before);
      if (after != &node) continue;
      Links::setNext(*before, next);
      return true;
    }
    return false;
  }

  // A chain was followed to its end, which is `last`, or the bucket itself.
  void noteEnd([[maybe_unused]] const Node* last, [[maybe_unused]] std::size_t index) const noexcept {
    if constexpr (Links::checked) {
      if (last ? Links::isCut(*last) : Links::isCut(buckets_[index])) cut_ = true;
    }
  }

  // Bucket b takes over, from the bucket that had its place, the elements that now belong to b.
  void split() noexcept {
    const std::size_t added = bucketCount_++;
    const std::size_t from = added ^ std::bit_floor(added);
    Node* node = first(from);
    Node* lastKept = nullptr;
    Node* lastMoved = nullptr;
    buckets_[added] = nullptr;
    if (!node) noteEnd(nullptr, from);
    while (node) {
      Node* const next = Links::next(*node);
      if (!next) noteEnd(node, from);
      const bool moves = indexOf(Links::hash(*node)) == added;
      Node*& last = moves ? lastMoved : lastKept;
      if (!last) {
        buckets_[moves ? added : from] = node;
      } else if (Links::next(*last) != node) {
        Links::setNext(*last, node);
      }
      last = node;
      node = next;
    }
    if (!lastKept) buckets_[from] = nullptr;
    if (lastKept) Links::setNext(*lastKept, nullptr);
    if (lastMoved) Links::setNext(*lastMoved, nullptr);
  }
  void merge() noexcept {
    const std::size_t removed = --bucketCount_;
    const std::size_t into = removed ^ std::bit_floor(removed);
    Node* const moved = first(removed);
    Node* last = first(into);
    if (!moved) noteEnd(nullptr, removed);
    if (!last) {
      noteEnd(nullptr, into);
      buckets_[into] = moved;
      return;
    }
    while (Node* const next = Links::next(*last)) last = next;
    noteEnd(last, into);
    Links::setNext(*last, moved);
  }

  Buckets buckets_;
  std::size_t bucketCount_ = 0;  // 0, or at least `smallest`
  std::size_t size_ = 0;
  mutable bool cut_ = false;  // find() may note it: nothing but a hint that is asked for under the same guard
};

}  // namespace lukhas
