// only: g++ 12
// expect: this compiler \(g\+\+ 12\) corrupts temporary callables that own something
// A temporary function under the lock that owns a string.
#include "lukhas/lock/async_lock.hpp"

asio::awaitable<std::size_t> sizeUnderLock(lukhas::AsyncLock& lock, std::string text) {
  co_return co_await lock.acquire("key", [text] { return text.size(); });
}
