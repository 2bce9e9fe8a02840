// NameList: a list of names that can be written in braces inside a `co_await` expression.
#pragma once

#include <concepts>
#include <initializer_list>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

namespace lukhas {

namespace detail {
template <class T>
concept NameSource = std::constructible_from<std::string, T>;
}  // namespace detail

// A list of keys, participants or capabilities.
//
//   co_await preserver.preserveContext(id, data, {"sqlite", "files"});
//
// Why not std::vector<std::string>: g++ 12 does not compile a braced std::initializer_list inside a
// `co_await` expression, and copies some temporaries bit by bit into the coroutine frame. A class with
// constructors is sound there (docs/decisions/0002-natural-calls.md).
class NameList {
 public:
  using value_type = std::string;
  using const_iterator = std::vector<std::string>::const_iterator;

  NameList() = default;

  // Names one by one: anything that a std::string can be made of. Implicit, so that braces do.
  template <detail::NameSource First, detail::NameSource... Others>
  NameList(First&& first, Others&&... others) {
    names_.reserve(1 + sizeof...(Others));
    names_.emplace_back(std::forward<First>(first));
    (names_.emplace_back(std::forward<Others>(others)), ...);
  }

  NameList(std::vector<std::string> names) : names_(std::move(names)) {}

  [[nodiscard]] const_iterator begin() const noexcept { return names_.begin(); }
  [[nodiscard]] const_iterator end() const noexcept { return names_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }
  [[nodiscard]] bool empty() const noexcept { return names_.empty(); }
  [[nodiscard]] const std::string& operator[](std::size_t index) const noexcept { return names_[index]; }
  [[nodiscard]] const std::vector<std::string>& names() const& noexcept { return names_; }
  [[nodiscard]] std::vector<std::string> names() && noexcept { return std::move(names_); }

  friend bool operator==(const NameList&, const NameList&) = default;

 private:
  std::vector<std::string> names_;
};

}  // namespace lukhas
