// only: g++ 12
// expect: this compiler \(g\+\+ 12\) corrupts temporary callables that own something
// A temporary call through the circuit breaker that owns a string.
#include "lukhas/route/circuit_breaker.hpp"

asio::awaitable<std::size_t> sizeThroughBreaker(lukhas::CircuitBreaker& breaker, std::string text) {
  co_return co_await breaker.call([text] { return text.size(); });
}
