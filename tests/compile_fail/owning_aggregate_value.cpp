// only: g++ 12
// expect: give the value a name before the call
// A temporary aggregate that owns a string, as a value.
#include "lukhas/store/async_memory_store.hpp"

struct Session {
  std::string user;
};

template <>
struct lukhas::Codec<Session> {
  static lukhas::Bytes encode(const Session& session) { return lukhas::toBytes(session.user); }
};

asio::awaitable<void> keep(lukhas::AsyncMemoryStore& store) {
  co_await store.set("key", Session{.user = "a name that is too long to lie in the string itself"});
}
