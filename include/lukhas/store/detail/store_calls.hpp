// StoreCalls: the awaitable forms of what never suspends.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/core/name_list.hpp"
#include "lukhas/store/detail/call_key.hpp"
#include "lukhas/store/detail/store_state.hpp"
#include "lukhas/store/detail/store_values.hpp"

namespace lukhas::detail {

// Each takes what it uses by value: the caller may keep the awaitable, and the store may be gone when it is
// awaited.
struct StoreCalls {
  using State = std::shared_ptr<StoreState>;

  static asio::awaitable<void> write(State state, StoreWrite write) {
    state->write(std::move(write));
    co_return;
  }
  static asio::awaitable<bool> writeIf(State state, StoreWrite write, Version expected) {
    co_return state->writeIfVersion(std::move(write), expected);
  }
  static asio::awaitable<void> batchWrite(State state, std::vector<CacheEntryRef> entries, Ttl ttl) {
    state->writeAll(std::move(entries), ttl);
    co_return;
  }

  template <class T>
  static asio::awaitable<std::optional<T>> get(State state, CallKey key) {
    co_return readValue<T>(*state, key.view());
  }
  template <class T>
  static asio::awaitable<std::optional<WithMeta<T>>> getWithMeta(State state, std::string key) {
    co_return readWithMeta<T>(*state, key);
  }
  template <class T>
  static asio::awaitable<std::vector<std::optional<T>>> batchGet(State state, NameList keys) {
    co_return readValues<T>(*state, keys);
  }
  static asio::awaitable<bool> has(State state, std::string key) { co_return state->has(key); }

  static asio::awaitable<bool> touch(State state, std::string key, Ttl ttl) {
    co_return state->touch(key, ttl);
  }
  static asio::awaitable<bool> remove(State state, std::string key) { co_return state->erase(key); }
  static asio::awaitable<std::size_t> batchRemove(State state, NameList keys) {
    co_return state->eraseAll(keys);
  }
  static asio::awaitable<void> resize(State state, std::size_t maxBytes) {
    state->resize(maxBytes);
    while (state->shrinkSlice()) co_await state->environment().sleepFor(Duration::zero());
  }
  static asio::awaitable<void> clear(State state) {
    state->clear();
    co_return;
  }
};

}  // namespace lukhas::detail
