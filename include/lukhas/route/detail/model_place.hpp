// ModelPlace: a place among the requests that may be under way at a model.
#pragma once

#include <memory>
#include <utility>

namespace lukhas::detail {

class RouterState;
struct RoutedModel;
using RoutedModelPtr = std::shared_ptr<RoutedModel>;

// One of the maxConcurrent of a model, given back by the destructor.
class ModelPlace {
 public:
  ModelPlace() = default;
  ModelPlace(std::shared_ptr<RouterState> state, RoutedModelPtr model) noexcept
      : state_(std::move(state)), model_(std::move(model)) {}
  ModelPlace(ModelPlace&&) noexcept = default;
  ModelPlace& operator=(ModelPlace&& other) {
    if (this != &other) {
      release();
      state_ = std::move(other.state_);
      model_ = std::move(other.model_);
    }
    return *this;
  }
  ~ModelPlace() { release(); }

  void release();
  [[nodiscard]] const RoutedModelPtr& model() const noexcept { return model_; }

 private:
  std::shared_ptr<RouterState> state_;
  RoutedModelPtr model_;
};

}  // namespace lukhas::detail
