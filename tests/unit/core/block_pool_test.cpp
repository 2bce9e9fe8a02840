#include "lukhas/core/block_pool.hpp"

#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "support/catch.hpp"

using lukhas::BlockPool;

namespace {

struct PoolBlock {
  unsigned char* data;
  std::size_t bytes;
};

PoolBlock take(BlockPool& pool, std::size_t bytes, unsigned char mark) {
  const PoolBlock block{static_cast<unsigned char*>(pool.allocate(bytes)), bytes};
  std::memset(block.data, mark, bytes);
  return block;
}
bool holds(const PoolBlock& block, unsigned char mark) {
  for (std::size_t i = 0; i < block.bytes; ++i) {
    if (block.data[i] != mark) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("blocks of all sizes keep what is written into them while others come and go", "[core]") {
  BlockPool pool;
  std::vector<PoolBlock> kept;
  for (std::size_t i = 0; i < 20'000; ++i) {
    kept.push_back(take(pool, 1 + i * 7 % BlockPool::largestBlock, static_cast<unsigned char>(i)));
    const PoolBlock passing = take(pool, 1 + i * 3 % BlockPool::largestBlock, 0xEE);
    pool.release(passing.data, passing.bytes);
  }
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < kept.size(); i += 2) pool.release(kept[i].data, kept[i].bytes);
  for (std::size_t i = 0; i < kept.size(); i += 2) {
    kept[i] = take(pool, kept[i].bytes, static_cast<unsigned char>(i));
  }
  for (std::size_t i = 0; i < kept.size(); ++i)
    wrong += holds(kept[i], static_cast<unsigned char>(i)) ? 0 : 1;
  CHECK(wrong == 0);
  for (const PoolBlock& block : kept) pool.release(block.data, block.bytes);
}

TEST_CASE("blocks do not overlap and are aligned for pointers", "[core]") {
  BlockPool pool;
  for (const std::size_t bytes : {1U, 8U, 9U, 40U, 63U, 64U, 65U, 512U}) {
    std::map<std::uintptr_t, unsigned char*> byAddress;
    for (int i = 0; i < 1000; ++i) {
      auto* const block = static_cast<unsigned char*>(pool.allocate(bytes));
      byAddress.emplace(reinterpret_cast<std::uintptr_t>(block), block);
    }
    CHECK(byAddress.size() == 1000);
    std::uintptr_t end = 0;
    for (const auto& [address, block] : byAddress) {
      REQUIRE(address >= end);
      REQUIRE(address % alignof(void*) == 0);
      end = address + bytes;
    }
    for (const auto& [address, block] : byAddress) pool.release(block, bytes);
  }
}

// Under a sanitizer the blocks are the allocator's own, or the allocator does not tell.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("blocks that were released are handed out again before there are new slabs", "[core]") {
  BlockPool pool;
  std::vector<void*> blocks;
  std::set<void*> released;
  for (int i = 0; i < 1000; ++i) blocks.push_back(pool.allocate(48));
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    pool.release(blocks[i], 48);
    released.insert(blocks[i]);
  }
  std::size_t reused = 0;
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    blocks[i] = pool.allocate(48);
    reused += released.count(blocks[i]);
  }
  CHECK(reused >= 450);  // the last slab was open, and may have had blocks that were never used
  for (void* const block : blocks) pool.release(block, 48);
}

TEST_CASE("slabs that are empty go back but for one of each size", "[core]") {
  BlockPool pool;
  std::vector<void*> blocks(10'000);
  // All three before the first CHECK, which asks for memory itself.
  const std::size_t before = mallinfo2().uordblks;
  for (void*& block : blocks) block = pool.allocate(48);
  const std::size_t full = mallinfo2().uordblks;
  for (void* const block : blocks) pool.release(block, 48);
  const std::size_t after = mallinfo2().uordblks;
  CHECK(full - before > 10'000 * 48);
  CHECK(after < before + (full - before) / 10);  // a slab, and what malloc keeps of the pieces beside slabs
}

TEST_CASE("a block that comes and goes is the same one", "[core]") {
  BlockPool pool;
  void* const first = pool.allocate(48);
  pool.release(first, 48);
  void* const again = pool.allocate(48);
  CHECK(again == first);
  pool.release(again, 48);
}
#endif
