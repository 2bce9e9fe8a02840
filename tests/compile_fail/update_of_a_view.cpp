// expect: the bytes of a View do not change
// A View is shared with all who read the entry.
#include "lukhas/store/async_memory_store.hpp"

asio::awaitable<void> change(lukhas::AsyncMemoryStore& store) {
  (void)co_await store.update<lukhas::View>("key", [](lukhas::View&) {});
}
