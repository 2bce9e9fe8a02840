// expect: there is no lukhas::Codec for this type that decodes it
// A view that was read would refer to bytes that are gone.
#include "lukhas/store/async_memory_store.hpp"

asio::awaitable<std::optional<std::string_view>> read(lukhas::AsyncMemoryStore& store) {
  co_return co_await store.get<std::string_view>("key");
}
