// expect: there is no lukhas::Codec for this type that encodes it
// A type that nobody wrote a codec for.
#include <vector>

#include "lukhas/store/async_memory_store.hpp"

asio::awaitable<void> keep(lukhas::AsyncMemoryStore& store) {
  const std::vector<int> numbers{1, 2, 3};
  co_await store.set("key", numbers);
}
