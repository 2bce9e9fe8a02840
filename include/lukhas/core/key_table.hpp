// KeyTable: finds objects by their key, and grows and shrinks one bucket at a time.
#pragma once

#include <bit>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
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

template <class Node>
concept KeyedNode = std::derived_from<Node, KeyHook> && requires(const Node& node) {
  { node.key() } -> std::convertible_to<std::string_view>;
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
// Lifetime. The table neither owns its elements nor touches them when it is destroyed. Not thread-safe: the
// component that owns it guards it.
template <class Node>
class KeyTable {
 public:
  KeyTable() = default;
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return buckets_.memoryBytes(); }
  // What memoryBytes() is when reserve(elements) has been called.
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t elements) const noexcept {
    return buckets_.memoryBytesFor(elements);
  }
  // The most that memoryBytes() can be with so many elements in it, whatever was in it before; with none,
  // after release().
  [[nodiscard]] static constexpr std::size_t memoryBound(std::size_t elements) noexcept {
    return Buckets::memoryBound(elements * 2);
  }

  // Null when there is none.
  [[nodiscard]] Node* find(std::string_view key, std::uint64_t hash) const noexcept {
    static_assert(KeyedNode<Node>);
    if (size_ == 0) return nullptr;
    for (KeyHook* hook = bucket(indexOf(hash)); hook; hook = hook->nextInBucket) {
      prefetch(reinterpret_cast<const char*>(hook) + cacheLineBytes);  // the key is mostly there
      if (hook->keyHash != hash) continue;
      if (Node* const node = static_cast<Node*>(hook); node->key() == key) return node;
    }
    return nullptr;
  }

  // To be called before an element with that hash is looked for or erased, the first long before and the
  // second some time after it: the bucket is fetched, and what it begins with.
  void prefetchBucket(std::uint64_t hash) const noexcept {
    if (size_ > 0) prefetch(&bucket(indexOf(hash)));
  }
  void prefetchElement(std::uint64_t hash) const noexcept {
    if (size_ > 0) prefetch(bucket(indexOf(hash)));
  }

  // Room for so many elements in all: that many inserts do not allocate. Throws std::bad_alloc, and then
  // nothing has changed.
  void reserve(std::size_t elements) { buckets_.reserve(elements); }

  // Precondition: room was reserved, and no element has its key.
  void insert(Node& node) noexcept {
    assert(buckets_.capacity() > size_);
    if (bucketCount_ == 0) {
      bucketCount_ = smallest;
      for (std::size_t i = 0; i < smallest; ++i) bucket(i) = nullptr;
    }
    if (++size_ > bucketCount_) split();
    KeyHook& hook = node;
    KeyHook*& head = bucket(indexOf(hook.keyHash));
    hook.nextInBucket = head;
    head = &hook;
  }

  // Precondition: the element is in the table.
  void erase(Node& node) noexcept {
    KeyHook** const link = linkOf(node);
    *link = (*link)->nextInBucket;
    --size_;
    while (bucketCount_ > smallest && bucketCount_ > size_ * 2) merge();  // at most twice
    buckets_.shrinkTo(bucketCount_);
  }

  // `fresh`, which is in no table, takes the place of `old`, which has the same key.
  void replace(Node& old, Node& fresh) noexcept {
    KeyHook& hook = fresh;
    KeyHook** const link = linkOf(old);
    hook.nextInBucket = (*link)->nextInBucket;
    *link = &hook;
  }

  // Forgets all elements and gives the memory back.
  void release() noexcept {
    buckets_.shrinkTo(0);
    bucketCount_ = size_ = 0;
  }

  // Calls visit(node) for each element, in an order that means nothing. `visit` may destroy the element, and
  // release() must follow then; it must not change the table otherwise. O(n).
  template <class Visit>
  void forEach(Visit&& visit) const {
    for (std::size_t i = 0; i < bucketCount_; ++i) {
      for (KeyHook* hook = bucket(i); hook;) {
        KeyHook* const next = hook->nextInBucket;
        visit(*static_cast<Node*>(hook));
        hook = next;
      }
    }
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < bucketCount_; ++i) {
      for (const KeyHook* hook = bucket(i); hook; hook = hook->nextInBucket) {
        if (indexOf(hook->keyHash) != i) return false;
        ++seen;
      }
    }
    return seen == size_;
  }

 private:
  using Buckets = ChunkedArray<KeyHook*>;
  static constexpr std::size_t smallest = Buckets::firstChunk;

  [[nodiscard]] KeyHook*& bucket(std::size_t index) const noexcept { return buckets_[index]; }
  [[nodiscard]] std::size_t indexOf(std::uint64_t hash) const noexcept {
    const std::size_t mask = std::bit_ceil(bucketCount_) - 1;
    const std::size_t index = hash & mask;
    return index < bucketCount_ ? index : index & (mask >> 1U);
  }
  [[nodiscard]] KeyHook** linkOf(const Node& node) const noexcept {
    const KeyHook& hook = node;
    KeyHook** link = &bucket(indexOf(hook.keyHash));
    while (*link != &hook) link = &(*link)->nextInBucket;
    return link;
  }

  // Bucket b takes over, from the bucket that had its place, the elements that now belong to b.
  void split() noexcept {
    const std::size_t added = bucketCount_++;
    KeyHook** from = &bucket(added ^ std::bit_floor(added));
    KeyHook** to = &bucket(added);
    *to = nullptr;
    while (*from) {
      KeyHook* const hook = *from;
      if (indexOf(hook->keyHash) != added) {
        from = &hook->nextInBucket;
        continue;
      }
      *from = hook->nextInBucket;
      hook->nextInBucket = nullptr;
      *to = hook;
      to = &hook->nextInBucket;
    }
  }
  void merge() noexcept {
    const std::size_t removed = --bucketCount_;
    KeyHook** end = &bucket(removed ^ std::bit_floor(removed));
    while (*end) end = &(*end)->nextInBucket;
    *end = bucket(removed);
  }

  Buckets buckets_;
  std::size_t bucketCount_ = 0;  // 0, or at least `smallest`
  std::size_t size_ = 0;
};

}  // namespace lukhas
