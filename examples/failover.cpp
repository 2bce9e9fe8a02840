// A failing model and its neighbour: the router fails over, opens the failing model's circuit so that nobody
// waits for it any more, tries it again after a while, and closes the circuit when it is well.
//   failover FAILING_URL HEALTHY_URL      (OpenAI-style endpoints; the first one is model_server --mode fail)
#include <chrono>
#include <cstdio>
#include <iostream>

#include <asio.hpp>
#include <lukhas/http/curl_transport.hpp>
#include <lukhas/lukhas.hpp>

using namespace std::chrono_literals;
using nlohmann::json;

namespace {

// Asks once; the name of the model that answered.
asio::awaitable<std::string> ask(lukhas::ModelRouter& router, int turn) {
  const json context{{"messages", json::array({{{"role", "user"}, {"content", "Name three rivers."}}})}};
  const std::string id = "turn-" + std::to_string(turn);
  const lukhas::ModelReply reply = co_await router.route({id, context, {"chat"}});
  std::cout << "  turn " << turn << ": answered by " << reply.model << std::endl;
  co_return reply.model;
}

// Tells the example's model server how to behave, through the same transport as the router.
asio::awaitable<void> control(lukhas::Transport& transport, std::string modelUrl, std::string command) {
  lukhas::HttpRequest request;
  request.url = modelUrl.substr(0, modelUrl.rfind("/v1")) + "/control";
  request.headers.push_back({"Content-Type", "application/json"});
  request.body = std::move(command);
  const std::unique_ptr<lukhas::HttpExchange> exchange = co_await transport.send(std::move(request));
  if (exchange->status() != 200) throw std::runtime_error("the model server does not take commands");
}

asio::awaitable<bool> show(lukhas::Environment environment, std::shared_ptr<lukhas::Transport> transport,
                           std::string failing, std::string healthy) {
  lukhas::ModelRouterOptions options;
  options.transport = transport;
  options.breaker.openFor = 1s;  // a minute by default: nobody wants to watch that long
  lukhas::ModelRouter router{environment, options};
  const auto print = [](const auto& event) { std::cout << "    " << event << std::endl; };
  const lukhas::Subscription failovers = router.onFailover.connect(print);
  const lukhas::Subscription opened = router.onCircuitOpen.connect(print);
  const lukhas::Subscription halfOpen = router.onCircuitHalfOpen.connect(print);
  const lukhas::Subscription closed = router.onCircuitClosed.connect(print);
  router.registerModel({.id = "flaky", .url = failing, .priority = 10, .capabilities = {"chat"}});
  router.registerModel({.id = "steady", .url = healthy, .priority = 1, .capabilities = {"chat"}});

  bool held = true;
  int turn = 1;
  for (; turn <= 12; ++turn) {
    const std::string model = co_await ask(router, turn);
    held = held && model == "steady";
  }
  held = held && router.circuit("flaky") == lukhas::CircuitState::open;
  std::cout << "  the flaky model is repaired" << std::endl;
  co_await control(*transport, failing, R"({"mode": "ok"})");
  co_await environment.sleepFor(1100ms);
  for (const int end = turn + 3; turn < end; ++turn) {
    const std::string model = co_await ask(router, turn);
    held = held && model == "flaky";
  }
  held = held && router.circuit("flaky") == lukhas::CircuitState::closed;
  const lukhas::RouterMetrics metrics = router.getMetrics();
  held = held && metrics.failedRequests == 0;
  std::cout << "  " << metrics.totalRequests << " requests, " << metrics.failedRequests
            << " failed, the circuit opened " << metrics.circuitOpens << " time(s)" << std::endl;
  co_return held;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: failover FAILING_URL HEALTHY_URL\n";
    return 2;
  }
  asio::io_context io;
  const lukhas::Environment environment{io.get_executor()};
  const std::shared_ptr<lukhas::Transport> transport = lukhas::CurlTransport::create(environment);
  int status = 1;
  asio::co_spawn(io, show(environment, transport, argv[1], argv[2]),
                 [&](std::exception_ptr error, bool held) {
                   try {
                     if (error) std::rethrow_exception(error);
                     status = held ? 0 : 1;
                   } catch (const std::exception& failure) {
                     std::cerr << "failover: " << failure.what() << '\n';
                   }
                 });
  io.run();
  return status;
}
