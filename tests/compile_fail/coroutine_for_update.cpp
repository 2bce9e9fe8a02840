// expect: update's function is a plain one
// A coroutine where update() takes a plain function: others would get in between.
#include "lukhas/store/async_memory_store.hpp"

asio::awaitable<int> increment(lukhas::AsyncMemoryStore& store) {
  co_return co_await store.update<int>("key", [](int& value) -> asio::awaitable<void> {
    ++value;
    co_return;
  });
}
