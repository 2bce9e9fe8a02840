// AsyncMemoryStore: a cache of contexts that neither races, nor rots, nor grows.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/awaited_value.hpp"
#include "lukhas/async/environment.hpp"
#include "lukhas/core/codec.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/core/natural_call.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/store/detail/store_calls.hpp"
#include "lukhas/store/detail/store_loading.hpp"
#include "lukhas/store/detail/store_state.hpp"
#include "lukhas/store/detail/store_values.hpp"
#include "lukhas/store/entry_info.hpp"
#include "lukhas/store/store_error.hpp"
#include "lukhas/store/store_events.hpp"
#include "lukhas/store/store_options.hpp"
#include "lukhas/store/store_ttl.hpp"
#include "lukhas/store/view.hpp"

namespace lukhas {

namespace detail {
struct StoreAccess;
}  // namespace detail

// Values under keys, for a time, in bounded memory.
//
//   lukhas::AsyncMemoryStore cache{environment, {.maxBytes = 100u << 20}};
//   cache.start();
//   co_await cache.set("session:42", context, 5min);
//   std::optional<json> found = co_await cache.get<json>("session:42");
//
// Values. Any type with a Codec: JSON, strings, bytes, trivially copyable structs, your own. A value is kept
// as immutable bytes with a 64-bit checksum, which every read verifies; bytes that have changed are never
// returned: the entry is removed, onCorruption tells, and the read is a miss. Read an entry as the type it
// was written as: what does not decode throws Errc::decode_failed, and stays. Read as a View it is not
// decoded and not copied. A codec that throws leaves the store as it was. Keys are 1 to 256 bytes, any bytes.
//
// Memory. Keys, values and all bookkeeping together never take more than maxBytes of the allocator: room is
// made before an entry is linked, first by removing what has expired, then the least recently used entries,
// one by one. get, getOrCompute, touch, update and every write are a use; has, info and keys are not. What a
// call itself holds is its own: the encoded value it is about to store, the bytes it is reading, and, where
// somebody listens to onEvicted, what it has removed. An entry (or batch) that cannot fit even alone is
// refused with value_too_large (batch_too_large), and nothing changes: the old value stays, and nobody is
// evicted.
//
// Time. An entry is there as long as now is before its end, for every operation alike; Duration::max() is for
// ever, and what is too long to be counted too. set and batchSet begin a new TTL: the one given, or the
// default one. update and compareAndSet leave an entry the end that it has, unless they are given a TTL;
// reads never move it; touch moves nothing else. A TTL of zero or less is refused with invalid_ttl. What has
// expired gives back its memory when somebody asks for it, when room is needed, or by the sweep, which runs
// from start() to stop() in slices that let others run in between. While started and not empty, the store
// holds a timer, so that io_context::run() does not return: call stop() at the end.
//
// Where you resume. Nothing here waits for anything but getOrCompute (for a loader) and update (when others
// change the same entry at once). The others complete without suspending, and each has a twin without a
// coroutine, whose name begins with try. Arguments are checked, and values encoded, in the call itself.
// Cancellation can only end a getOrCompute or an update; it leaves nothing behind. At most maxWaiters callers
// wait in getOrCompute; one more gets StoreErrc::overloaded.
//
// Events are emitted in the calling thread, without any lock: a listener may call the store. Where nobody
// listens they cost nothing. Any thread may call, and may destroy the store. Destroy it when no other thread
// is inside a call; callers that wait in getOrCompute then get StoreErrc::closed, and a loader that runs goes
// on for its own caller. What the store held then goes without an event.
//
// Costs. O(1) for each key, O(log n) of the expiry heap for a write; O(n) under the mutex for keys and clear.
class AsyncMemoryStore {
 public:
  using Options = AsyncMemoryStoreOptions;
  using Ttl = StoreTtl;  // any duration; left out: the default TTL

  static constexpr std::size_t maxKeyBytes = detail::StoreState::maxKeyBytes;

  // Throws Errc::invalid_option.
  explicit AsyncMemoryStore(Environment environment, AsyncMemoryStoreOptions options = {})
      : state_(detail::StoreState::create(std::move(environment), options)),
        onCorruption(state_->signals().corruption),
        onSweep(state_->signals().sweep),
        onEvicted(state_->signals().evicted),
        onExpired(state_->signals().expired) {}
  AsyncMemoryStore(const AsyncMemoryStore&) = delete;
  AsyncMemoryStore& operator=(const AsyncMemoryStore&) = delete;
  ~AsyncMemoryStore() { state_->close(); }

  // ---- One entry ------------------------------------------------------------------------------------------

  // Throws empty_key, key_too_long, invalid_ttl, value_too_large, and what the codec throws. An array of char
  // is a text up to its first zero, or to its end; a null `const char*` is refused: Errc::invalid_argument.
  template <class V>
  [[nodiscard]] asio::awaitable<void> set(std::string_view key, V&& value, Ttl ttl = {}) {
    checkNatural<V>();
    return Calls::write(state_, detail::encodeWrite(*state_, key, value, ttl));
  }
  template <class V>
  void trySet(std::string_view key, const V& value, Ttl ttl = {}) {
    const State state = state_;  // a listener may destroy the store; so below
    state->write(detail::encodeWrite(*state, key, value, ttl));
  }

  // nullopt: there is none, or it expired, or it was damaged. get<View>() neither decodes nor copies.
  template <class T>
  [[nodiscard]] asio::awaitable<std::optional<T>> get(std::string_view key) {
    detail::StoreState::requireCall(key, {});
    return Calls::get<T>(state_, detail::CallKey(key));
  }
  template <class T>
  [[nodiscard]] std::optional<T> tryGet(std::string_view key) {
    return detail::readValue<T>(*state_, key);  // keeps the state alive when there is an event
  }

  // The same, with version, age, remaining TTL and sizes of what was read.
  template <class T>
  [[nodiscard]] asio::awaitable<std::optional<WithMeta<T>>> getWithMeta(std::string_view key) {
    return Calls::getWithMeta<T>(state_, std::string(key));
  }
  template <class T>
  [[nodiscard]] std::optional<WithMeta<T>> tryGetWithMeta(std::string_view key) {
    const State state = state_;
    return detail::readWithMeta<T>(*state, key);
  }

  // Looks without reading the value: counts neither as a hit nor as a use.
  [[nodiscard]] asio::awaitable<bool> has(std::string_view key) {
    return Calls::has(state_, std::string(key));
  }
  [[nodiscard]] bool tryHas(std::string_view key) {
    const State state = state_;
    return state->has(key);
  }

  // Begins a new TTL, without reading or writing the value: the version stays. Whether there was an entry.
  [[nodiscard]] asio::awaitable<bool> touch(std::string_view key, Ttl ttl = {}) {
    detail::StoreState::requireCall(key, ttl);
    return Calls::touch(state_, std::string(key), ttl);
  }
  bool tryTouch(std::string_view key, Ttl ttl = {}) {
    const State state = state_;
    return state->touch(key, ttl);
  }

  // Whether there was one.
  [[nodiscard]] asio::awaitable<bool> remove(std::string_view key) {
    return Calls::remove(state_, std::string(key));
  }
  bool tryRemove(std::string_view key) {
    const State state = state_;
    return state->erase(key);
  }

  // Removes all entries.
  [[nodiscard]] asio::awaitable<void> clear() { return Calls::clear(state_); }
  void tryClear() {
    const State state = state_;
    state->clear();
  }

  // ---- Several entries, all or nothing --------------------------------------------------------------------

  // One answer for each key, in their order, all of the same moment. Throws duplicate_key when a key is there
  // twice.
  template <class T>
  [[nodiscard]] asio::awaitable<std::vector<std::optional<T>>> batchGet(NameList keys) {
    return Calls::batchGet<T>(state_, std::move(keys));
  }
  template <class T>
  [[nodiscard]] std::vector<std::optional<T>> tryBatchGet(const NameList& keys) {
    const State state = state_;
    return detail::readValues<T>(*state, keys);
  }

  // A range of pairs (key, value). Everything is checked and encoded first, then all are stored at one
  // moment; on any error none is. Throws what set throws for each of them, duplicate_key when a key is there
  // twice, and batch_too_large.
  template <std::ranges::input_range Entries>
  [[nodiscard]] asio::awaitable<void> batchSet(Entries&& entries, Ttl ttl = {}) {
    checkNatural<Entries>();
    return Calls::batchWrite(state_, detail::encodeBatch(*state_, entries, ttl), ttl);
  }
  template <std::ranges::input_range Entries>
  void tryBatchSet(Entries&& entries, Ttl ttl = {}) {
    const State state = state_;
    state->writeAll(detail::encodeBatch(*state, entries, ttl), ttl);
  }

  // How many there were. Throws duplicate_key when a key is there twice.
  [[nodiscard]] asio::awaitable<std::size_t> batchRemove(NameList keys) {
    return Calls::batchRemove(state_, std::move(keys));
  }
  std::size_t tryBatchRemove(const NameList& keys) {
    const State state = state_;
    return state->eraseAll(keys);
  }

  // ---- Together with others -------------------------------------------------------------------------------

  // The value of the key; when there is none, what `loader()` gives (a T, or an awaitable of one), which is
  // stored. However many ask at once, one loader runs: that of the caller who came first. The others wait
  // for its result.
  //
  //   auto load = [&]() -> asio::awaitable<json> { co_return co_await fetch(id); };
  //   json profile = co_await cache.getOrCompute<json>("profile:" + id, load, 1min);
  //
  // When the loader throws, its caller gets the error, and the next one in the queue runs its own loader; so
  // too when its caller is cancelled or its coroutine destroyed, or when its value does not encode. When the
  // key is set, removed or cleared while it is loaded, those who wait get the result, but it is not stored,
  // and who asks afterwards loads anew. A result that does not fit into the store is returned and not stored;
  // it counts as an error. So too one that no entry can hold, of 4 GiB and more; those who wait for it then
  // run their own loaders, and who asked for a View gets value_too_large. A TTL counts from the end of the
  // load.
  //
  // A loader may ask for other keys. When it asks for the key that it loads, or for one whose loader waits
  // for it in turn, that call is refused with load_cycle, which names the keys, instead of waiting for ever.
  // The store knows a loader by the executor that its coroutines run on; what it spawns on another executor
  // it does not know. What one chain of loaders asks for is found through other stores too: a loader that,
  // through a loader of another store, asks for its own key. Circles of several callers are found within one
  // store alone: when loaders of two stores, begun by different callers, wait for each other, nobody sees the
  // circle, and they wait until one of them is cancelled. Let the loaders of one store ask the other, and not
  // the other way round too, or give them a deadline.
  //
  // With the option earlyRefresh, a read shortly before the end of an entry may leave its loader running in
  // the background. A refresh that fails, or is not over when the entry expires, is counted and changes
  // nothing.
  //
  // The loader is copied or moved into the call; on g++ 12 a temporary one may capture by reference only (see
  // core/natural_call.hpp). With T = View it gives whatever can be encoded.
  template <class T, class Loader>
  [[nodiscard]] asio::awaitable<T> getOrCompute(std::string_view key, Loader&& loader, Ttl ttl = {}) {
    LUKHAS_CHECK_NATURAL_CALL(Loader);
    detail::StoreState::requireCall(key, ttl);
    using Loading = detail::StoreLoading<T, std::decay_t<Loader>>;
    return Loading::compute(state_, std::string(key), std::decay_t<Loader>(std::forward<Loader>(loader)),
                            ttl);
  }

  // Reads, lets `change(T&)` change the value, and stores it, as one step: nobody's write in between is lost.
  // Gives the new value. The entry keeps the end of its life, unless there is a TTL. `change` is a plain
  // function and may be called several times, each time with what is there then, and must not write the same
  // key itself.
  //
  // Throws not_found when the key holds nothing, what `change` throws (then nothing changed), what set
  // throws, and conflict when 1,000 attempts all met somebody else's write.
  template <class T, class Change>
  [[nodiscard]] asio::awaitable<T> update(std::string_view key, Change&& change, Ttl ttl = {}) {
    LUKHAS_CHECK_NATURAL_CALL(Change);
    static_assert(!detail::isView<T>, "the bytes of a View do not change: update the type that was written");
    static_assert(std::invocable<std::decay_t<Change>&, T&>, "update's function takes a T&");
    static_assert(!AwaitedValue<std::invoke_result_t<std::decay_t<Change>&, T&>>::isAwaitable,
                  "update's function is a plain one: what awaits would let others in between");
    detail::StoreState::requireCall(key, ttl);
    return runUpdate<T>(state_, std::string(key), std::decay_t<Change>(std::forward<Change>(change)), ttl);
  }

  // Stores the value when the key's present version is `expected` (see info()), and says whether it did. The
  // entry keeps the end of its life, unless there is a TTL. Version{} expects that the key holds nothing.
  template <class V>
  [[nodiscard]] asio::awaitable<bool> compareAndSet(std::string_view key, Version expected, V&& value,
                                                    Ttl ttl = {}) {
    checkNatural<V>();
    return Calls::writeIf(state_, detail::encodeWrite(*state_, key, value, ttl), expected);
  }
  template <class V>
  [[nodiscard]] bool tryCompareAndSet(std::string_view key, Version expected, const V& value, Ttl ttl = {}) {
    const State state = state_;
    return state->writeIfVersion(detail::encodeWrite(*state, key, value, ttl), expected);
  }

  // ---- Looking --------------------------------------------------------------------------------------------

  // The keys that begin with `prefix`, all of the same moment, sorted.
  [[nodiscard]] std::vector<std::string> keys(std::string_view prefix = {}) const {
    return state_->keys(prefix);
  }
  [[nodiscard]] std::optional<EntryInfo> info(std::string_view key) const {
    const State state = state_;
    return state->info(key);
  }

  // ---- Life -----------------------------------------------------------------------------------------------

  // Another limit in place of maxBytes. It holds at once for what comes in. Where it is less than what the
  // store takes, entries go as if room was needed, in slices that let others run in between, and this waits
  // for the last one; the store's memory only falls meanwhile. tryResize() does not wait: each later write
  // then lets some entries more go than it needs, until the limit is reached. So too when this is cancelled.
  // Throws Errc::invalid_option for what the option maxBytes must not be.
  [[nodiscard]] asio::awaitable<void> resize(std::size_t maxBytes) {
    state_->requireSize(maxBytes);
    return Calls::resize(state_, maxBytes);
  }
  void tryResize(std::size_t maxBytes) {
    state_->requireSize(maxBytes);
    state_->resize(maxBytes);
  }

  // Begins the sweeps; the store works without, and then gives back expired memory only when it is asked for
  // or needed. Both may be called at any time, and again.
  void start() { state_->start(); }
  void stop() { state_->stop(); }

  [[nodiscard]] StoreMetrics getMetrics() const { return state_->metrics(); }
  // Of the last one or two minutes: corruption (any), high_error_rate (over 1 % of at least 100 calls),
  // eviction_pressure (90 % full, and more evictions than reads that found something, of at least 100
  // reads). Now: sweep_overdue (started, and something expired two intervals ago is still there).
  [[nodiscard]] HealthReport healthCheck() const { return state_->health(); }

 private:
  friend struct detail::StoreAccess;
  using State = std::shared_ptr<detail::StoreState>;
  using Calls = detail::StoreCalls;

  template <class V>
  static constexpr void checkNatural() {
    static_assert(detail::isNaturalValue<V>,
                  "lukhas: this compiler (g++ 12) corrupts temporary aggregates that own something inside a "
                  "co_await expression; give the value a name before the call");
  }

  template <class T, class Change>
  static asio::awaitable<T> runUpdate(State state, std::string key, Change change, Ttl ttl);

  State state_;

 public:
  // The entry's checksum did not match.
  Signal<EntryCorrupted>& onCorruption;
  // A sweep ended and had removed something.
  Signal<StoreSwept>& onSweep;
  // An entry left the store, for whatever cause, once for each; after onExpired or onCorruption. The event
  // can hand over the bytes.
  Signal<EntryEvicted>& onEvicted;
  Signal<StoredEntryExpired>& onExpired;
};

}  // namespace lukhas

#include "lukhas/store/impl/async_memory_store.hpp"
