// What of the store depends on T: values become bytes here, and bytes values.
#pragma once

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "lukhas/core/codec.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/store/detail/store_state.hpp"
#include "lukhas/store/entry_info.hpp"
#include "lukhas/store/view.hpp"

namespace lukhas::detail {

template <class T>
inline constexpr bool isStoreText =
    std::is_same_v<std::decay_t<T>, std::string> || std::is_same_v<std::decay_t<T>, std::string_view> ||
    std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*>;
template <class T>
inline constexpr bool isStoreBytes = std::is_same_v<T, Bytes>;
template <class Element, std::size_t extent>
inline constexpr bool isStoreBytes<std::span<Element, extent>> = isByteLike<std::remove_cv_t<Element>>;
template <class T>
inline constexpr bool isJson = std::is_same_v<std::decay_t<T>, nlohmann::json>;
template <class T>
inline constexpr bool isView = std::is_same_v<std::decay_t<T>, View>;

[[noreturn]] inline void throwNullText() {
  nlohmann::json details{{"argument", "value"}};
  throw Error(Errc::invalid_argument, "the value is a null pointer; a text has to be somewhere",
              std::move(details));
}

// Calls use(ByteView) with the encoded value. Texts and bytes are their own encoding and are not copied.
template <class T, class Use>
decltype(auto) withEncoded(const StoreState& state, const T& value, Use&& use) {
  if constexpr (std::is_array_v<T> && isStoreText<T>) {  // up to its zero, if there is one
    const char* const end = std::find(std::begin(value), std::end(value), '\0');
    return use(asBytes(std::string_view(std::begin(value), end)));
  } else if constexpr (std::is_pointer_v<T> && isStoreText<T>) {
    if (value == nullptr) throwNullText();
    return use(asBytes(std::string_view(value)));
  } else if constexpr (isStoreText<T>) {
    return use(asBytes(std::string_view(value)));
  } else if constexpr (isStoreBytes<T>) {
    return use(std::as_bytes(std::span(value)));
  } else if constexpr (isView<T>) {
    return use(value.bytes());
  } else if constexpr (isJson<T>) {
    const Bytes bytes = Codec<nlohmann::json>::encode(value, state.options().jsonFormat);
    return use(ByteView(bytes));
  } else {
    static_assert(Encodable<T>,
                  "there is no lukhas::Codec for this type that encodes it: see core/codec.hpp");
    const Bytes bytes = Codec<T>::encode(value);
    return use(ByteView(bytes));
  }
}

template <class T>
[[nodiscard]] StoreWrite encodeWrite(StoreState& state, std::string_view key, const T& value, Ttl ttl) {
  return withEncoded(state, value, [&](ByteView bytes) { return state.prepare(key, bytes, ttl); });
}

// A range of pairs (key, value); not const, for some views are read only so.
template <class Entries>
[[nodiscard]] std::vector<CacheEntryRef> encodeBatch(StoreState& state, Entries& entries, Ttl ttl) {
  std::vector<CacheEntryRef> encoded;
  for (const auto& [key, value] : entries) {
    encoded.push_back(std::move(encodeWrite(state, key, value, ttl).entry));
  }
  if (encoded.empty() && ttl && *ttl <= Duration::zero()) {  // else it is checked with each key
    nlohmann::json details{{"ttlNs", ttl->count()}};
    throw Error(
        StoreErrc::invalid_ttl,
        fmt::format("the TTL of the empty batch is {}; it has to be longer than zero", optionText(*ttl)),
        std::move(details));
  }
  state.requireBatch(encoded);
  return encoded;
}

template <class T>
[[nodiscard]] T decodeEntry(StoreState& state, const CacheEntryRef& entry, StoreCall& call) {
  if constexpr (isView<T>) {
    return View(entry);
  } else {
    static_assert(Decodable<T>,
                  "there is no lukhas::Codec for this type that decodes it: see core/codec.hpp");
    try {
      if constexpr (isJson<T>) {
        return Codec<T>::decode(entry->value(), state.options().jsonFormat);
      } else {
        return Codec<T>::decode(entry->value());
      }
    } catch (...) {
      state.countError(call);
      throw;
    }
  }
}

// What is decoded by copying alone, so that it may be done under a mutex: no code of a user runs.
template <class T>
inline constexpr bool isCopied = std::is_same_v<T, std::string> || std::is_same_v<T, Bytes>;

template <class T>
[[nodiscard]] std::optional<T> readValue(StoreState& state, std::string_view key) {
  std::optional<T> value;
  StoreRead read;
  if constexpr (isCopied<T>) {
    read = state.readWith(key, [&](const EntryCache&, const CacheEntry& entry) {
      value.emplace(Codec<T>::decode(entry.value()));
    });
  } else {
    read = state.read(key);
  }
  if (read.entry) value.emplace(decodeEntry<T>(state, read.entry, read.call));
  state.finished(read.call);
  return value;
}

template <class T>
[[nodiscard]] std::optional<WithMeta<T>> readWithMeta(StoreState& state, std::string_view key) {
  StoreReadWithInfo found = state.readWithInfo(key);
  StoreRead& read = found.read;
  std::optional<WithMeta<T>> value;
  if (read.entry) value.emplace(WithMeta<T>{found.info, decodeEntry<T>(state, read.entry, read.call)});
  state.finished(read.call);
  return value;
}

template <class T>
[[nodiscard]] std::vector<std::optional<T>> readValues(StoreState& state, const NameList& keys) {
  StoreBatchRead found = state.readAll(keys);
  std::vector<std::optional<T>> values(found.entries.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const CacheEntryRef& entry = found.entries[i];
    if (entry) values[i].emplace(decodeEntry<T>(state, entry, found.call));
  }
  state.finished(found.call);
  return values;
}

// g++ 12 copies a temporary aggregate bit by bit into the frame of the coroutine that passes it on in a
// `co_await` expression (see core/natural_call.hpp): one that owns something has to be named first.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class V>
inline constexpr bool isNaturalValue =
    std::is_lvalue_reference_v<V> || !std::is_aggregate_v<std::remove_cvref_t<V>> ||
    std::is_trivially_copyable_v<std::remove_cvref_t<V>>;
#else
template <class V>
inline constexpr bool isNaturalValue = true;
#endif

}  // namespace lukhas::detail
