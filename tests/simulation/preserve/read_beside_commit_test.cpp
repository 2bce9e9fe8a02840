#include <cstdint>
#include <optional>

#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace read_beside_commit_test {
using namespace lukhas;
using nlohmann::json;
using lukhas::test::both;
using lukhas::test::PreserverWorld;

namespace {

asio::awaitable<void> readAfterDecision(AtomicContextPreserver& preserver, std::optional<json>& seen) {
  const json first{{"turn", 1}};
  (void)co_await preserver.preserveContext("one", first, both);
  const json second{{"turn", 2}};
  const PreserveOptions decided{.until = PreserveUntil::decided};
  (void)co_await preserver.preserveContext("one", second, both, decided);
  const std::optional<ContextSnapshot> found = co_await preserver.restoreContext("one");
  if (found) seen = found->data;
}

}  // namespace

TEST_CASE("a read beside the commit of a decision that history has let go gives what was decided",
          "[preserve]") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    PreserverWorld world(AtomicContextPreserverOptions{.historyEntries = 0}, seed);
    std::optional<json> seen;
    world.run([&](AtomicContextPreserver& preserver) { return readAfterDecision(preserver, seen); });
    CHECK(seen == json{{"turn", 2}});
  }
}

}  // namespace read_beside_commit_test
