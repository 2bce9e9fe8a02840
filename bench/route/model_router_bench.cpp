// What routing costs on top of sending: the same answers through the router and straight from the transport.
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <benchmark/benchmark.h>

#include "lukhas/route/model_router.hpp"

namespace {

class ReadyExchange final : public lukhas::HttpExchange {
 public:
  int status() const noexcept override { return 200; }
  std::optional<std::string_view> header(std::string_view) const noexcept override { return std::nullopt; }
  asio::awaitable<std::string> read() override {
    if (std::exchange(read_, true)) co_return std::string();
    co_return R"({"choices":[{"message":{"role":"assistant","content":"Rhine, Elbe, Oder."},
                  "finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5}})";
  }

 private:
  bool read_ = false;
};

// Answers without any latency.
class ReadyTransport final : public lukhas::Transport {
 public:
  asio::awaitable<std::unique_ptr<lukhas::HttpExchange>> send(lukhas::HttpRequest request) override {
    benchmark::DoNotOptimize(request.body.data());
    co_return std::make_unique<ReadyExchange>();
  }
};

nlohmann::json context() {
  nlohmann::json message;
  message["role"] = "user";
  message["content"] = "Name three rivers.";
  nlohmann::json result;
  result["messages"] = nlohmann::json::array({std::move(message)});
  return result;
}

lukhas::ModelDescription model(int priority) {
  return {.id = "model-" + std::to_string(priority),
          .url = "http://model.test/v1",
          .priority = priority,
          .capabilities = {"chat"}};
}

template <class Work>
void runOn(asio::io_context& io, Work work) {
  asio::co_spawn(io, work(), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  io.run();
}

// Building the request, sending it and reading the answer, as the router does.
void sendDirectly(benchmark::State& state) {
  asio::io_context io;
  const auto transport = std::make_shared<ReadyTransport>();
  const lukhas::ModelDescription description = model(0);
  const nlohmann::json question = context();
  const auto work = [&]() -> asio::awaitable<void> {
    for (auto _ : state) {
      lukhas::HttpRequest request = lukhas::OpenAiProvider::makeRequest(description, question);
      std::unique_ptr<lukhas::HttpExchange> exchange = co_await transport->send(std::move(request));
      const int status = exchange->status();
      const std::string body = co_await lukhas::readAll(std::move(exchange), 1 << 20);
      lukhas::ModelAnswer answer = lukhas::OpenAiProvider::readAnswer(status, body);
      benchmark::DoNotOptimize(answer);
    }
  };
  runOn(io, work);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(sendDirectly);

// Argument: how many models are registered.
void routeRequests(benchmark::State& state) {
  asio::io_context io;
  lukhas::ModelRouter router(lukhas::Environment(io.get_executor()),
                             {.transport = std::make_shared<ReadyTransport>()});
  for (int priority = 0; priority < static_cast<int>(state.range(0)); ++priority)
    router.registerModel(model(priority));
  const nlohmann::json question = context();
  const auto work = [&]() -> asio::awaitable<void> {
    for (auto _ : state) {
      lukhas::ModelReply reply = co_await router.route({"turn-1", question, {"chat"}});
      benchmark::DoNotOptimize(reply);
    }
  };
  runOn(io, work);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(routeRequests)->Arg(1)->Arg(4)->Arg(32);

// A stream without an end: pieces of 64 events, each of 100 bytes of text.
class EndlessExchange final : public lukhas::HttpExchange {
 public:
  int status() const noexcept override { return 200; }
  std::optional<std::string_view> header(std::string_view) const noexcept override { return std::nullopt; }
  asio::awaitable<std::string> read() override { co_return piece_; }

 private:
  static std::string makePiece() {
    std::string piece;
    for (int i = 0; i < 64; ++i)
      piece +=
          "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + std::string(100, 'x') + "\"}}]}\n\n";
    return piece;
  }
  std::string piece_ = makePiece();
};

class EndlessTransport final : public lukhas::Transport {
 public:
  asio::awaitable<std::unique_ptr<lukhas::HttpExchange>> send(lukhas::HttpRequest) override {
    co_return std::make_unique<EndlessExchange>();
  }
};

// From the bytes of the connection to the caller's delta: an item is an event.
void streamDeltas(benchmark::State& state) {
  asio::io_context io;
  lukhas::ModelRouter router(lukhas::Environment(io.get_executor()),
                             {.transport = std::make_shared<EndlessTransport>()});
  router.registerModel(model(0));
  const auto work = [&]() -> asio::awaitable<void> {
    lukhas::RouteRequest request("turn-1", context(), {"chat"});
    lukhas::ModelStream stream = co_await router.routeStream(std::move(request));
    for (auto _ : state) {
      std::optional<lukhas::ModelDelta> delta = co_await stream.next();
      benchmark::DoNotOptimize(delta);
    }
  };
  runOn(io, work);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(streamDeltas);

}  // namespace
