#include "lukhas/store/view.hpp"

#include <memory>
#include <string>
#include <utility>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "support/catch.hpp"

namespace view_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::View;

TEST_CASE("a view of nothing has no bytes", "[store]") {
  const View view;
  CHECK(view.empty());
  CHECK(view.text() == "");
  const View copy = view;
  CHECK(copy.bytes().empty());
}

TEST_CASE("a view does not copy", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment());
  store.trySet("k", std::string(1000, 'x'));
  const View first = store.tryGet<View>("k").value();
  const View second = store.tryGet<View>("k").value();
  CHECK(first.bytes().data() == second.bytes().data());
  CHECK(first.size() == 1000);
  CHECK(first.text() == std::string(1000, 'x'));
  store.trySet("empty", "");
  CHECK(store.tryGet<View>("empty")->empty());
  CHECK_FALSE(store.tryGet<View>("nobody").has_value());
}

TEST_CASE("a view keeps its bytes whatever becomes of the entry and the store", "[store]") {
  lukhas::Simulation world;
  auto store = std::make_unique<AsyncMemoryStore>(world.environment(),
                                                  lukhas::AsyncMemoryStoreOptions{.maxBytes = 64 << 10});
  std::vector<View> views;
  for (const char* key : {"replaced", "removed", "expired", "evicted", "destroyed"}) {
    store->trySet(key, std::string("the value of ") + key, key == std::string("expired") ? 1s : 1h);
    if (key != std::string("destroyed")) views.push_back(store->tryGet<View>(key).value());
  }
  store->trySet("replaced", "another");
  store->tryRemove("removed");
  world.runFor(1s);
  CHECK_FALSE(store->tryHas("expired"));
  for (int i = 0; i < 4; ++i) store->trySet("large" + std::to_string(i), std::string(20'000, 'x'));
  CHECK_FALSE(store->tryHas("evicted"));
  store->tryClear();
  store->trySet("destroyed", "the value of destroyed");
  views.push_back(store->tryGet<View>("destroyed").value());
  store.reset();

  std::string all;
  for (const View& view : views) all += std::string(view.text()) + ";";
  CHECK(all ==
        "the value of replaced;the value of removed;the value of expired;the value of evicted;"
        "the value of destroyed;");
}

TEST_CASE("a view can be awaited, batched, loaded and written on", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment());
  store.trySet("k", "value");
  auto body = [&]() -> asio::awaitable<void> {
    const std::optional<View> found = co_await store.get<View>("k");
    CHECK(found->text() == "value");
    co_await store.set("copy", *found);
    const auto both = co_await store.batchGet<View>({"copy", "nobody"});
    CHECK(both[0]->text() == "value");
    CHECK_FALSE(both[1].has_value());
    const View loaded = co_await store.getOrCompute<View>("new", [] { return std::string("loaded"); });
    CHECK(loaded.text() == "loaded");
    const View again = co_await store.getOrCompute<View>("new", [] { return std::string("not called"); });
    CHECK(again.bytes().data() == loaded.bytes().data());
  };
  world.spawn(body());
  world.run();
  CHECK(store.tryGet<std::string>("copy") == "value");
  CHECK(store.tryGet<std::string>("new") == "loaded");
  CHECK(store.tryGetWithMeta<View>("k")->value.text() == "value");
}

}  // namespace view_test
