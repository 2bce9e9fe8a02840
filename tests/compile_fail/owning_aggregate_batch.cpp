// only: g++ 12
// expect: give the value a name before the call
// A temporary array of what owns strings, as a batch.
#include <array>
#include <string>
#include <utility>

#include "lukhas/store/async_memory_store.hpp"

using Entry = std::pair<std::string, std::string>;

asio::awaitable<void> keep(lukhas::AsyncMemoryStore& store) {
  co_await store.batchSet(std::array<Entry, 2>{Entry{"a", "1"}, Entry{"b", "2"}});
}
