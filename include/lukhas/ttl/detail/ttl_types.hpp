// TtlTypes: the types of entries that an engine knows: their names, rules and figures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/ttl_error.hpp"

namespace lukhas::detail {

struct TtlType : KeyHook {
  using Number = std::uint16_t;

  TtlType(std::string_view typeName, std::uint64_t hash, const TtlRules& typeRules, Number typeNumber)
      : KeyHook(hash), name(typeName), rules(typeRules), number(typeNumber) {}
  [[nodiscard]] const std::string& key() const noexcept { return name; }

  const std::string name;
  const TtlRules rules;
  const Number number;
  std::uint64_t registered = 0;
  std::uint64_t expired = 0;
  std::size_t active = 0;
  double grantedMs = 0;  // the sum over `registered`
};

// A million entries have a handful of types, so an entry holds the number of its type instead of a name. A
// type is never forgotten, which keeps its figures and its address; that is why they are bounded.
class TtlTypes {
 public:
  // The types that have a policy are known from the start, and so is the empty one, which is number 0.
  TtlTypes(const TTLEnforcementEngineOptions& options, std::uint64_t seed)
      : seed_(seed), general_(detail::rulesOf(options)) {
    add({}, general_);
    for (const auto& [name, policy] : options.policies) add(name, detail::rulesOf(options, policy));
    bound_ = types_.size() + options.maxTypes;
  }
  TtlTypes(const TtlTypes&) = delete;
  TtlTypes& operator=(const TtlTypes&) = delete;

  [[nodiscard]] const TtlRules& rulesOf(std::string_view name) const noexcept {
    const TtlType* const known = find(name);
    return known ? known->rules : general_;
  }
  // Throws TtlErrc::too_many_types or std::bad_alloc, and then nothing has changed.
  [[nodiscard]] TtlType& learn(std::string_view name) {
    if (TtlType* const known = find(name)) return *known;
    if (types_.size() >= bound_) refuse(name);
    return add(name, general_);
  }

  [[nodiscard]] TtlType& operator[](TtlType::Number number) noexcept { return types_[number]; }
  [[nodiscard]] const TtlType& operator[](TtlType::Number number) const noexcept { return types_[number]; }
  [[nodiscard]] std::size_t size() const noexcept { return types_.size(); }
  // In the order in which they became known.
  [[nodiscard]] auto begin() const noexcept { return types_.begin(); }
  [[nodiscard]] auto end() const noexcept { return types_.end(); }

 private:
  [[nodiscard]] std::uint64_t hashOf(std::string_view name) const noexcept {
    return hash64(asBytes(name), seed_);
  }
  [[nodiscard]] TtlType* find(std::string_view name) const noexcept {
    return table_.find(name, hashOf(name));
  }
  TtlType& add(std::string_view name, const TtlRules& rules) {
    table_.reserve(types_.size() + 1);
    const auto number = static_cast<TtlType::Number>(types_.size());
    TtlType& added = types_.emplace_back(name, hashOf(name), rules, number);
    table_.insert(added);
    return added;
  }
  [[noreturn]] void refuse(std::string_view name) const {
    nlohmann::json details{{"type", cleanText(name)}, {"maximum", bound_}};
    throw Error(TtlErrc::too_many_types,
                fmt::format("{} types are known, which is the maximum: the type {} is refused", bound_,
                            quotedText(name)),
                std::move(details));
  }

  std::uint64_t seed_;
  TtlRules general_;
  std::size_t bound_ = 0;
  std::deque<TtlType> types_;  // by number; they never move
  KeyTable<TtlType> table_;
};

}  // namespace lukhas::detail
