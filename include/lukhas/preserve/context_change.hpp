// ContextChange: one of several contexts that are preserved together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/core/name_list.hpp"

namespace lukhas {

// Which context becomes what, and where. See AtomicContextPreserver::preserveContext for what is allowed, and
// PreserveOptions for `expectedVersion`. (A class with a constructor, because g++ 12 damages temporary
// aggregates that hold strings inside `co_await` expressions.)
class ContextChange {
 public:
  ContextChange(std::string contextId, nlohmann::json data, NameList participants,
                std::optional<std::uint64_t> expectedVersion = std::nullopt)
      : contextId_(std::move(contextId)),
        data_(std::move(data)),
        participants_(std::move(participants)),
        expectedVersion_(expectedVersion) {}

  [[nodiscard]] const std::string& contextId() const noexcept { return contextId_; }
  [[nodiscard]] const nlohmann::json& data() const& noexcept { return data_; }
  [[nodiscard]] nlohmann::json data() && noexcept { return std::move(data_); }
  [[nodiscard]] const NameList& participants() const noexcept { return participants_; }
  [[nodiscard]] std::optional<std::uint64_t> expectedVersion() const noexcept { return expectedVersion_; }

 private:
  std::string contextId_;
  nlohmann::json data_;
  NameList participants_;
  std::optional<std::uint64_t> expectedVersion_;
};

}  // namespace lukhas
