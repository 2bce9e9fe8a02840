#include "lukhas/route/outcome_window.hpp"

#include "support/catch.hpp"

namespace outcome_window_test {
using namespace std::chrono_literals;
using lukhas::OutcomeWindow;
using Sums = OutcomeWindow::Sums;

namespace {

const OutcomeWindow::Time start{1000s};

}  // namespace

TEST_CASE("a window by number holds the latest outcomes whenever they came", "[route]") {
  OutcomeWindow window(3, 0s);
  window.add(true, false, start);
  window.add(false, true, start + 1h);
  window.add(true, true, start + 2h);
  CHECK(window.sums(start + 3h) == Sums{3, 2, 2});
  window.add(false, false, start + 3h);
  CHECK(window.sums(start + 3h) == Sums{3, 1, 2});
  window.clear();
  CHECK(window.sums(start + 3h) == Sums{});
}

TEST_CASE("a window by time forgets what is as old as its time and keeps the last nineteen twentieths",
          "[route]") {
  OutcomeWindow window(1, 20s);
  window.add(true, false, start);
  for (int i = 0; i < 5000; ++i) window.add(false, false, start + 1s);
  CHECK(window.sums(start + 19s) == Sums{5001, 1, 0});
  CHECK(window.sums(start + 20s - 1ns) == Sums{5001, 1, 0});
  CHECK(window.sums(start + 20s) == Sums{5000, 0, 0});
  CHECK(window.sums(start + 21s) == Sums{});
}

TEST_CASE("a window by time is empty after any pause that is longer than it", "[route]") {
  for (const auto pause : {20s, 21s, 39s, 40s, 41s, 86'400s}) {
    OutcomeWindow window(1, 20s);
    for (int second = 0; second < 20; ++second) window.add(true, true, start + second * 1s);
    CHECK(window.sums(start + 19s) == Sums{20, 20, 20});
    window.add(false, false, start + 19s + pause);
    CHECK(window.sums(start + 19s + pause) == Sums{1, 0, 0});
  }
}

TEST_CASE("a window by time that is cleared begins anew", "[route]") {
  OutcomeWindow window(1, 20s);
  window.add(true, true, start);
  window.clear();
  CHECK(window.sums(start) == Sums{});
  window.add(true, false, start + 1s);
  CHECK(window.sums(start + 20s) == Sums{1, 1, 0});
}

}  // namespace outcome_window_test
