// only: g++ 12
// expect: this compiler \(g\+\+ 12\) corrupts temporary callables that own something
// A temporary loader that owns a string.
#include "lukhas/store/async_memory_store.hpp"

asio::awaitable<nlohmann::json> load(lukhas::AsyncMemoryStore& store, std::string id) {
  co_return co_await store.getOrCompute<nlohmann::json>(
      "key", [id]() -> asio::awaitable<nlohmann::json> { co_return id; });
}
