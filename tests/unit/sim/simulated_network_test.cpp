#include "lukhas/sim/simulated_network.hpp"

#include <functional>

#include "lukhas/route/openai_provider.hpp"
#include "lukhas/route/read_all.hpp"
#include "unit/route/router_world.hpp"

using namespace std::chrono_literals;
using lukhas::Errc;
using lukhas::HttpRequest;
using lukhas::RouteErrc;
using lukhas::SimulatedModel;
using lukhas::test::helloContext;
using lukhas::test::RouterWorld;
using nlohmann::json;

namespace {

const std::string url = "http://m.test/v1";

struct Answer {
  bool ended = false;
  int status = 0;
  std::string body;
  std::error_code error;
  lukhas::Duration took{};
};

HttpRequest hello() { return lukhas::OpenAiProvider::makeRequest({.id = "m", .url = url}, helloContext()); }

asio::awaitable<void> fetch(RouterWorld& world, HttpRequest request, Answer& answer) {
  const lukhas::TimePoint began = world.environment().now();
  try {
    std::unique_ptr<lukhas::HttpExchange> exchange = co_await world.transport()->send(std::move(request));
    answer.status = exchange->status();
    answer.body = co_await lukhas::readAll(std::move(exchange), 1'000'000);
  } catch (const std::system_error& error) {
    answer.error = error.code();
  }
  answer.took = world.environment().now() - began;
  answer.ended = true;
}

Answer ask(RouterWorld& world, HttpRequest request = hello()) {
  Answer answer;
  world.spawn(fetch(world, std::move(request), answer));
  world.run();
  CHECK(world.openConnections() == 0);
  return answer;
}

}  // namespace

TEST_CASE("a simulated model speaks the form of OpenAI", "[sim]") {
  RouterWorld world;
  world.addModel(url).reply("hi there");
  const Answer answer = ask(world);
  CHECK(answer.status == 200);
  const auto read = lukhas::OpenAiProvider::readAnswer(answer.status, answer.body);
  REQUIRE(std::holds_alternative<lukhas::ModelReply>(read));
  CHECK(std::get<lukhas::ModelReply>(read).text() == "hi there");
  CHECK(std::get<lukhas::ModelReply>(read).usage().totalTokens == 3);
  CHECK(world.model(url + "/").requests() == 1);
}

TEST_CASE("a simulated model is as strict as a real one", "[sim]") {
  RouterWorld world;
  world.addModel(url);
  HttpRequest get = hello();
  get.method = "GET";
  CHECK(ask(world, get).status == 405);
  HttpRequest broken = hello();
  broken.body = "{\"messages\": [";
  CHECK(ask(world, broken).status == 400);
  HttpRequest elsewhere = hello();
  elsewhere.url = "http://m.test/v2/chat/completions";
  CHECK(ask(world, elsewhere).status == 404);
  HttpRequest nowhere = hello();
  nowhere.url = "http://other.test/v1/chat/completions";
  CHECK(ask(world, nowhere).error == RouteErrc::name_not_resolved);
}

TEST_CASE("a simulated model fails as often as it is told", "[sim]") {
  RouterWorld world;
  world.addModel(url).failNext(2, 503);
  CHECK(ask(world).status == 503);
  CHECK(ask(world).status == 503);
  CHECK(ask(world).status == 200);
  world.model(url).failNext(5, 503).recover();
  CHECK(ask(world).status == 200);
}

TEST_CASE("a simulated model refuses connections and cuts answers off", "[sim]") {
  RouterWorld world;
  world.addModel(url).refuse();
  CHECK(ask(world).error == RouteErrc::connect_failed);
  CHECK(world.model(url).requests() == 0);
  world.model(url).recover().resetNext(1);
  const Answer cut = ask(world);
  CHECK(cut.status == 200);
  CHECK(cut.error == RouteErrc::connection_lost);
  HttpRequest narrow = hello();
  narrow.maxHeaderBytes = 20;
  CHECK(ask(world, narrow).error == RouteErrc::headers_too_large);
}

TEST_CASE("a request to a stalled model hangs until it recovers", "[sim]") {
  RouterWorld world;
  world.addModel(url).stall().latency(0s, 0s);
  Answer answer;
  world.spawn(fetch(world, hello(), answer));
  world.runFor(1h);
  CHECK_FALSE(answer.ended);
  CHECK(world.openConnections() == 1);
  CHECK(world.model(url).openConnections() == 1);
  world.model(url).recover();
  world.run();
  CHECK(answer.status == 200);
  CHECK(answer.took == 1h);
  CHECK(world.openConnections() == 0);
}

TEST_CASE("cancelling a simulated request closes its connection", "[sim]") {
  const std::vector<std::function<void(SimulatedModel&)>> faults{
      [](SimulatedModel& model) { model.stall(); },
      [](SimulatedModel& model) { model.latency(9s, 9s); },
      [](SimulatedModel& model) { model.slow(9s, 10); },
  };
  for (const auto& fault : faults) {
    RouterWorld world;
    fault(world.addModel(url));
    Answer answer;
    asio::cancellation_signal signal;
    world.spawn(fetch(world, hello(), answer), signal);
    world.runFor(1s);
    CHECK(world.openConnections() == 1);
    signal.emit(asio::cancellation_type::terminal);
    world.run();
    CHECK(answer.error == asio::error::operation_aborted);
    CHECK(world.openConnections() == 0);
    CHECK(world.elapsed() == 1s);
  }
}

TEST_CASE("latency and slowness take their time", "[sim]") {
  RouterWorld world;
  world.addModel(url).latency(2s, 2s).failNext(1, 400, {}, "123456789").slow(1s, 4);
  CHECK(ask(world).took == 5s);
}

TEST_CASE("random faults come as often as they are asked for and equal seeds give equal runs", "[sim]") {
  const auto failures = [](std::uint64_t seed) {
    RouterWorld world(seed);
    world.addModel(url).faults({.refused = 100, .failed = 100, .reset = 100, .garbled = 100});
    std::map<std::string, int> seen;
    for (int i = 0; i < 1000; ++i) {
      const Answer answer = ask(world);
      ++seen[answer.error              ? answer.error.message()
             : answer.body == "<html>" ? "garbled"
                                       : std::to_string(answer.status)];
    }
    return seen;
  };
  const auto seen = failures(1);
  CHECK(seen.size() == 5);
  for (const auto& [what, count] : seen) CHECK(count > (what == "200" ? 500 : 60));
  CHECK(failures(1) == seen);
  CHECK(failures(2) != seen);
}

TEST_CASE("a crash cuts the connections and leaves the models", "[sim]") {
  RouterWorld world;
  world.addModel(url).reply("still here").stall();
  Answer lost;
  world.spawn(fetch(world, hello(), lost));
  world.runFor(1s);
  CHECK(world.openConnections() == 1);
  world.crash();
  CHECK(world.openConnections() == 0);
  CHECK(world.model(url).openConnections() == 0);
  world.model(url).recover();
  CHECK(ask(world).status == 200);
  CHECK_FALSE(lost.ended);
  CHECK(world.model(url).requests() == 2);
}

TEST_CASE("addresses without a model and addresses that are none are refused", "[sim]") {
  RouterWorld world;
  world.addModel(url);
  const auto refused = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const lukhas::Error& error) {
      return error.code() == Errc::invalid_argument;
    }
    return false;
  };
  CHECK(refused([&] { (void)world.model("http://none.test"); }));
  CHECK(refused([&] { world.addModel(url + "/"); }));
  CHECK(refused([&] { world.addModel("m.test"); }));
}
