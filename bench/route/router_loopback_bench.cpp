// The router over real sockets: what it adds to a whole request, what a thousand streams cost, and what a
// dead model costs those who are served by a healthy one.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <malloc.h>

#include <asio.hpp>
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "lukhas/http/curl_transport.hpp"
#include "lukhas/route/model_router.hpp"
#include "lukhas/route/read_all.hpp"
#include "ratios.hpp"
#include "route/loopback_model.hpp"

namespace {

using Clock = std::chrono::steady_clock;

bench::LoopbackModel* served = nullptr;

nlohmann::json question() {
  nlohmann::json context;
  context["messages"] = nlohmann::json::array({{{"role", "user"}, {"content", "Name three rivers."}}});
  return context;
}

lukhas::ModelDescription describe(std::string id, std::string url, int priority) {
  lukhas::ModelDescription model;
  model.id = std::move(id);
  model.url = std::move(url);
  model.priority = priority;
  model.maxConcurrent = 10'000;
  return model;
}

// A port where nobody listens.
std::string deadUrl() {
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  return fmt::format("http://127.0.0.1:{}/v1", acceptor.local_endpoint().port());
}

struct World {
  asio::io_context io{1};
  lukhas::Environment environment{io.get_executor()};
  std::shared_ptr<lukhas::CurlTransport> transport =
      lukhas::CurlTransport::create(environment, {.maxConnections = 2000});
  lukhas::ModelRouter router{environment, {.transport = transport}};

  template <class Work>
  void run(Work work) {
    asio::co_spawn(io, work(), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
    io.restart();
    io.run();
  }
};

void throughTheTransport(benchmark::State& state) {
  World world;
  const lukhas::ModelDescription model = describe("m", served->url(), 0);
  const nlohmann::json context = question();
  world.run([&]() -> asio::awaitable<void> {
    for (auto _ : state) {
      lukhas::HttpRequest request = lukhas::OpenAiProvider::makeRequest(model, context);
      std::unique_ptr<lukhas::HttpExchange> exchange = co_await world.transport->send(std::move(request));
      const int status = exchange->status();
      const std::string body = co_await lukhas::readAll(std::move(exchange), 1 << 20);
      lukhas::ModelAnswer answer = lukhas::OpenAiProvider::readAnswer(status, body);
      benchmark::DoNotOptimize(answer);
    }
  });
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(throughTheTransport)->UseRealTime();

void throughTheRouter(benchmark::State& state) {
  World world;
  world.router.registerModel(describe("m", served->url(), 0));
  const nlohmann::json context = question();
  world.run([&]() -> asio::awaitable<void> {
    for (auto _ : state) {
      lukhas::ModelReply reply = co_await world.router.route({"turn-1", context});
      benchmark::DoNotOptimize(reply);
    }
  });
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(throughTheRouter)->UseRealTime();

// A thousand streams at once, all opened in one moment, all held after their first word.
void thousandStreams(benchmark::State& state) {
  constexpr std::size_t count = 1000;
  for (auto _ : state) {
    World world;
    world.router.registerModel(describe("m", served->url(), 0));
    std::vector<lukhas::ModelStream> streams;
    std::vector<double> firstMs;
    streams.reserve(count);
    firstMs.reserve(count);
    const nlohmann::json context = question();
    const std::size_t before = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
    const Clock::time_point began = Clock::now();
    const auto open = [&]() -> asio::awaitable<void> {
      lukhas::RouteRequest request("turn-1", context);
      lukhas::ModelStream stream = co_await world.router.routeStream(std::move(request));
      (void)co_await stream.next();
      firstMs.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
      streams.push_back(std::move(stream));
    };
    std::string failure;
    for (std::size_t i = 0; i < count; ++i) {
      asio::co_spawn(world.io, open(), [&failure](const std::exception_ptr& error) {
        try {
          if (error) std::rethrow_exception(error);
        } catch (const std::exception& why) {
          failure = why.what();
        }
      });
    }
    while (streams.size() < count && failure.empty()) world.io.run_one();
    const std::size_t after = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
    std::sort(firstMs.begin(), firstMs.end());
    if (!failure.empty()) {
      state.SkipWithError(failure.c_str());
      break;
    }
    state.counters["KiB_a_stream"] = static_cast<double>(after - before) / count / 1024;
    state.counters["first_p50_ms"] = firstMs[count / 2];
    state.counters["first_p99_ms"] = firstMs[count * 99 / 100];
    streams.clear();
  }
}
BENCHMARK(thousandStreams)->Iterations(3)->UseRealTime()->Unit(benchmark::kMillisecond);

double p99Micros(World& world, std::size_t requests) {
  std::vector<double> micros;
  const nlohmann::json context = question();
  world.run([&]() -> asio::awaitable<void> {
    for (std::size_t i = 0; i < requests; ++i) {
      const Clock::time_point began = Clock::now();
      lukhas::ModelReply reply = co_await world.router.route({"turn-1", context});
      micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began).count());
    }
  });
  std::sort(micros.begin(), micros.end());
  return micros[requests * 99 / 100];
}

// In turns, so that what disturbs the machine disturbs both; the best of each.
void deadModelBeside(benchmark::State& state) {
  constexpr std::size_t requests = 2000;
  for (auto _ : state) {
    World alone;
    alone.router.registerModel(describe("healthy", served->url(), 0));
    World beside;
    beside.router.registerModel(describe("healthy", served->url(), 0));
    beside.router.registerModel(describe("dead", deadUrl(), 1));
    (void)p99Micros(alone, 100);
    (void)p99Micros(beside, 100);
    if (beside.router.circuit("dead") != lukhas::CircuitState::open)
      state.SkipWithError("the circuit is not open");
    double aloneP99 = 1e9;
    double besideP99 = 1e9;
    for (int round = 0; round < 5; ++round) {
      aloneP99 = std::min(aloneP99, p99Micros(alone, requests));
      besideP99 = std::min(besideP99, p99Micros(beside, requests));
    }
    state.counters["alone_p99_us"] = aloneP99;
    state.counters["beside_p99_us"] = besideP99;
    state.counters["ratio"] = besideP99 / aloneP99;
  }
}
BENCHMARK(deadModelBeside)->Iterations(1)->Unit(benchmark::kMillisecond);

std::vector<bench::Goal> goals() {
  return {bench::atMost("a whole request: router / transport", 1.2, "x", [](const bench::Times& times) {
    return times.at("throughTheRouter") / times.at("throughTheTransport");
  })};
}

}  // namespace

int main(int argc, char** argv) {
  bench::LoopbackModel model;  // before there is any thread
  served = &model;
  bench::raiseDescriptorLimit();
  return bench::runWithGoals(argc, argv, goals());
}
