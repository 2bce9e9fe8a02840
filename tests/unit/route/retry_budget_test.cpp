#include "lukhas/route/retry_budget.hpp"

#include "lukhas/core/error.hpp"
#include "support/catch.hpp"

using lukhas::RetryBudget;
using lukhas::RetryCause;

TEST_CASE("the budget pays for a hundred retries and not for one more", "[route]") {
  RetryBudget budget;
  for (int i = 0; i < 100; ++i) REQUIRE(budget.tryTake(RetryCause::failure));
  CHECK_FALSE(budget.tryTake(RetryCause::failure));
  CHECK(budget.tokens() == 0);
}

TEST_CASE("a retry after a time-out costs twice as much", "[route]") {
  RetryBudget budget;
  for (int i = 0; i < 50; ++i) REQUIRE(budget.tryTake(RetryCause::time_out));
  CHECK_FALSE(budget.tryTake(RetryCause::time_out));
}

TEST_CASE("a budget that does not suffice loses nothing", "[route]") {
  RetryBudget budget({.capacity = 9});
  CHECK_FALSE(budget.tryTake(RetryCause::time_out));
  CHECK(budget.tokens() == 9);
  CHECK(budget.tryTake(RetryCause::failure));
}

TEST_CASE("five successes pay for one retry", "[route]") {
  RetryBudget budget({.capacity = 5});
  REQUIRE(budget.tryTake(RetryCause::failure));
  for (int i = 0; i < 4; ++i) budget.success();
  CHECK_FALSE(budget.tryTake(RetryCause::failure));
  budget.success();
  CHECK(budget.tryTake(RetryCause::failure));
}

TEST_CASE("successes never fill the budget above its capacity", "[route]") {
  RetryBudget budget({.capacity = 10, .perSuccess = 7});
  for (int i = 0; i < 1000; ++i) budget.success();
  CHECK(budget.tokens() == 10);
}

TEST_CASE("a capacity of zero allows no retry even when retries are free", "[route]") {
  RetryBudget budget({.capacity = 0, .perRetry = 0});
  budget.success();
  CHECK_FALSE(budget.tryTake(RetryCause::failure));
  CHECK(RetryBudget({.capacity = 1, .perRetry = 0}).tryTake(RetryCause::failure));
}

TEST_CASE("retry budget options out of range are refused", "[route]") {
  CHECK_THROWS_AS(RetryBudget({.capacity = 1'000'000'001}), lukhas::Error);
  CHECK_THROWS_AS(RetryBudget({.perRetry = 1'000'001}), lukhas::Error);
  CHECK_THROWS_AS(RetryBudget({.perTimeout = 1'000'001}), lukhas::Error);
  CHECK_THROWS_AS(RetryBudget({.perSuccess = 1'000'001}), lukhas::Error);
}
