// UniqueFunction: a callable that is moved, not copied (std::move_only_function comes with C++23).
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace lukhas {

template <class Signature>
class UniqueFunction;

// Owns any callable, also one that holds a coroutine's completion handler. Calling an empty one is undefined.
template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;

  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, UniqueFunction> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>) UniqueFunction(F&& function)
      : callable_(std::make_unique<Callable<std::decay_t<F>>>(std::forward<F>(function))) {}

  R operator()(Args... args) { return callable_->call(std::forward<Args>(args)...); }
  explicit operator bool() const noexcept { return callable_ != nullptr; }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual R call(Args&&... args) = 0;
  };

  template <class F>
  struct Callable final : Base {
    template <class G>
    explicit Callable(G&& given) : function(std::forward<G>(given)) {}
    R call(Args&&... args) override { return static_cast<R>(function(std::forward<Args>(args)...)); }
    F function;
  };

  std::unique_ptr<Base> callable_;
};

}  // namespace lukhas
