// AsyncMemoryStore: update, which tries again when others are faster.
#pragma once

#include "lukhas/store/async_memory_store.hpp"

namespace lukhas {

template <class T, class Change>
asio::awaitable<T> AsyncMemoryStore::runUpdate(State state, std::string key, Change change, Ttl ttl) {
  for (unsigned attempt = 0; attempt < detail::StoreState::updateAttempts; ++attempt) {
    if (attempt > 0) co_await state->environment().sleepFor(Duration::zero());  // let the others finish
    detail::StoreRead read = state->read(key);
    if (!read.entry) detail::StoreState::throwNotFound(key);
    T value = detail::decodeEntry<T>(*state, read.entry, read.call);
    std::invoke(change, value);
    detail::StoreWrite write = detail::encodeWrite(*state, key, value, ttl);
    if (!state->writeIfSame(std::move(write), read.entry)) continue;
    state->finished(read.call);
    co_return value;
  }
  detail::StoreState::throwConflict(key);
}

}  // namespace lukhas
