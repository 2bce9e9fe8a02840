// StoreLoading: getOrCompute, from the first look to the stored result.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "lukhas/async/awaited_value.hpp"
#include "lukhas/async/child_task.hpp"
#include "lukhas/store/detail/load_trace.hpp"
#include "lukhas/store/detail/loader_run.hpp"
#include "lukhas/store/detail/printable_key.hpp"
#include "lukhas/store/detail/store_state.hpp"
#include "lukhas/store/detail/store_values.hpp"

namespace lukhas::detail {

template <class T, class Loader>
struct StoreLoading {
  using State = std::shared_ptr<StoreState>;
  using Loaded = typename AwaitedValue<std::invoke_result_t<Loader&>>::Type;
  // What is read as a View is loaded as whatever can be encoded.
  using Value = std::conditional_t<isView<T>, Loaded, T>;
  using Run = LoaderRun<Loader, Value>;

  static asio::awaitable<T> compute(State state, std::string key, Loader loader, Ttl ttl) {
    StoreCall call;
    for (auto counted = Counted::yes;; counted = Counted::no) {
      LoadStart start = state->beginLoad(key, call, counted);
      asio::any_io_executor executor;
      std::shared_ptr<const LoadTrace> outer;
      std::optional<LoadStay> stay;
      if (!start.entry) {  // so that a hit pays for none of this
        executor = co_await asio::this_coro::executor;
        outer = traceOf(executor);
        if (outer) state->enterLoad(key, outer, start, call, stay);
      }
      auto read = counted;
      if (start.other) {
        std::shared_ptr<LoadWaiter> waiter = co_await StoreState::waitForTurn(state, std::move(start.other));
        if (waiter->turn == LoadTurn::closed) StoreState::throwClosed();
        if (waiter->turn == LoadTurn::refused) state->throwOverloaded(key, call);
        start.entry = std::move(waiter->entry);
        start.lead = std::move(waiter->lead);
        if (start.lead && !state->isJoinable(start.lead)) start.lead = {};  // changed since it was handed on
        read = Counted::no;
      }
      if (start.entry) {
        if (!state->verify(start.entry, call, read)) continue;
        T found = decodeEntry<T>(*state, start.entry, call);
        if (start.lead) refreshLater(state, std::move(start), std::move(key), std::move(loader), ttl);
        state->finished(call);
        co_return found;
      }
      if (!start.lead) continue;
      const auto run = std::make_shared<Run>(std::move(loader));
      const TimePoint began = state->environment().now();
      if constexpr (AwaitedValue<std::invoke_result_t<Loader&>>::isAwaitable) {
        const auto trace = std::make_shared<const LoadTrace>(state.get(), start.lead.load(), outer);
        const asio::any_io_executor inside = LoadExecutor(executor, trace);
        asio::awaitable<void> running = Run::run(run, trace);
        co_await asio::co_spawn(inside, std::move(running), asio::use_awaitable);
      } else {
        run->value.emplace(run->loader());
      }
      const CacheEntryRef loaded = finish(*state, start.lead, key, *run->value, ttl, call, began);
      if constexpr (isView<T>) {
        if (!loaded) throwTooLarge(key);
        co_return View(loaded);
      } else {
        co_return std::move(*run->value);
      }
    }
  }

 private:
  // Nothing, when no entry can hold the value: the duty to load then stays with `lead`, which hands it on.
  static CacheEntryRef finish(StoreState& state, LoadLead& lead, std::string_view key, const Value& value,
                              Ttl ttl, StoreCall& call, TimePoint began) {
    StoreWrite write = withEncoded(state, value, [&](ByteView bytes) {
      if (CacheEntry::bytesFor(key.size(), bytes.size()) > CacheEntry::maxBlockBytes) return StoreWrite{};
      return state.prepareLoaded(key, bytes, ttl);
    });
    if (!write.entry) {
      state.countError(call);
      return {};
    }
    CacheEntryRef loaded = write.entry;
    state.finishLoad(lead, std::move(write), call, began);
    return loaded;
  }

  [[noreturn]] static void throwTooLarge(std::string_view key) {
    constexpr std::size_t most = CacheEntry::maxBlockBytes;
    nlohmann::json details{{"key", printableKey(key)}, {"maximum", most}};
    throw Error(StoreErrc::value_too_large,
                fmt::format("what was loaded for \"{}\" is more than the {} bytes that a View is of",
                            printableKey(key), most),
                std::move(details));
  }

  // A hit is a hit, also when there is no memory to load it anew, or the loader throws when it is moved.
  static void refreshLater(const State& state, LoadStart start, std::string key, Loader&& loader,
                           Ttl ttl) noexcept {
    const std::shared_ptr<Load> load = start.lead.load();
    try {
      auto run = std::make_shared<Run>(std::move(loader));
      asio::co_spawn(
          state->environment().executor(),
          refresh(state, std::move(start.lead), start.refreshUntil, std::move(key), std::move(run), ttl),
          asio::detached);
    } catch (...) {  // counted
      state->refreshFailed(load->key);
    }
  }
  // Nobody waits for it who could cancel it, so it ends with the old value at the latest: who comes then must
  // not wait for a loader that hangs.
  static asio::awaitable<void> refresh(State state, LoadLead lead, TimePoint until, std::string key,
                                       std::shared_ptr<Run> run, Ttl ttl) {
    try {
      const TimePoint began = state->environment().now();
      const auto trace = std::make_shared<const LoadTrace>(state.get(), lead.load(), nullptr);
      const asio::any_io_executor inside = LoadExecutor(state->environment().executor(), trace);
      ChildTask<void> child(state->environment().on(inside), Run::run(run, trace));
      const bool inTime = co_await child.joinUntil(until);
      if (inTime) {
        StoreCall call;
        if (finish(*state, lead, key, *run->value, ttl, call, began)) co_return;
      }
    } catch (...) {  // counted; the old value stays until its end
    }
    state->refreshFailed(key);
  }
};

}  // namespace lukhas::detail
