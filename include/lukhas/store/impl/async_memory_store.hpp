// AsyncMemoryStore: the two operations that wait.
#pragma once

#include "lukhas/store/async_memory_store.hpp"

namespace lukhas {

template <class T, class Loader>
asio::awaitable<T> AsyncMemoryStore::compute(State state, std::string key, Loader loader, Ttl ttl) {
  using Loaded = std::invoke_result_t<Loader&>;
  // What is read as a View is loaded as whatever can be encoded.
  using Value = std::conditional_t<detail::isView<T>, typename AwaitedValue<Loaded>::Type, T>;
  detail::StoreCall call;
  for (auto counted = detail::Counted::yes;; counted = detail::Counted::no) {
    detail::LoadStart start = state->beginLoad(key, call, counted);
    auto read = counted;
    if (start.other) {
      std::shared_ptr<detail::LoadWaiter> waiter =
          co_await detail::StoreState::waitForTurn(state, std::move(start.other));
      if (waiter->turn == detail::LoadTurn::closed) detail::StoreState::throwClosed();
      if (waiter->turn == detail::LoadTurn::refused) state->throwOverloaded(key, call);
      start.entry = std::move(waiter->entry);
      start.lead = std::move(waiter->lead);
      if (start.lead && !state->isJoinable(start.lead)) start.lead = {};  // changed since it was handed on
      read = detail::Counted::no;
    }
    if (start.entry) {
      if (!state->verify(start.entry, call, read)) continue;
      T found = detail::decodeEntry<T>(*state, start.entry, call);
      state->finished(call);
      co_return found;
    }
    if (!start.lead) continue;
    std::optional<Value> value;
    if constexpr (AwaitedValue<Loaded>::isAwaitable) {
      value.emplace(co_await loader());
    } else {
      value.emplace(loader());
    }
    detail::StoreWrite write =
        detail::withEncoded(*value, [&](ByteView bytes) { return state->prepareLoaded(key, bytes, ttl); });
    const detail::CacheEntryRef loaded = write.entry;
    state->finishLoad(start.lead, std::move(write), call);
    if constexpr (detail::isView<T>) {
      co_return View(loaded);
    } else {
      co_return std::move(*value);
    }
  }
}

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
