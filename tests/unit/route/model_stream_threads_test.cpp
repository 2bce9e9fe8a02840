// Streams on an io_context that several threads run.
#include "lukhas/route/model_stream.hpp"

#include <atomic>
#include <thread>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include "support/catch.hpp"
#include "unit/route/router_world.hpp"

namespace model_stream_threads_test {
using namespace std::chrono_literals;
using lukhas::ModelRouter;

namespace {

// Ten words, one a read; every fifth stream ends without its end.
class StreamingTransport final : public lukhas::Transport {
 public:
  explicit StreamingTransport(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  asio::awaitable<std::unique_ptr<lukhas::HttpExchange>> send(lukhas::HttpRequest) override {
    co_await asio::post(executor_, asio::use_awaitable);
    co_return std::make_unique<Exchange>(executor_, open_, ++streams_ % 5 == 0);
  }
  [[nodiscard]] int open() const { return open_.load(); }

 private:
  class Exchange final : public lukhas::HttpExchange {
   public:
    Exchange(asio::any_io_executor executor, std::atomic<int>& open, bool breaks)
        : executor_(std::move(executor)), open_(open), breaks_(breaks) {
      ++open_;
    }
    ~Exchange() override { --open_; }
    int status() const noexcept override { return 200; }
    std::optional<std::string_view> header(std::string_view) const noexcept override { return std::nullopt; }
    asio::awaitable<std::string> read() override {
      co_await asio::post(executor_, asio::use_awaitable);
      if (said_++ < 10) co_return "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
      if (!breaks_ && said_ == 11) co_return "data: [DONE]\n\n";
      co_return std::string();
    }

   private:
    asio::any_io_executor executor_;
    std::atomic<int>& open_;
    bool breaks_;
    int said_ = 0;
  };

  asio::any_io_executor executor_;
  std::atomic<int> open_ = 0;
  std::atomic<int> streams_ = 0;
};

struct Tally {
  std::atomic<int> whole = 0;
  std::atomic<int> broken = 0;
  std::atomic<int> left = 0;
};

asio::awaitable<void> read(ModelRouter& router, Tally& tally) {
  for (int i = 0; i < 20; ++i) {
    const nlohmann::json context = lukhas::test::helloContext();
    lukhas::RouteRequest request("req", context, {"chat"});
    std::string text;
    try {
      lukhas::ModelStream stream = co_await router.routeStream(std::move(request));
      while (std::optional<lukhas::ModelDelta> delta = co_await stream.next()) {
        text += delta->text;
        if (i % 3 == 0 && text.size() == 4) break;
      }
      ++(text.size() == 10 ? tally.whole : tally.left);
    } catch (const lukhas::Error& error) {
      if (error.code() == lukhas::RouteErrc::stream_interrupted && text.size() == 10) ++tally.broken;
    }
  }
}

}  // namespace

TEST_CASE("streams are read, broken and abandoned in any thread and none is lost", "[route]") {
  asio::io_context io;
  const auto transport = std::make_shared<StreamingTransport>(io.get_executor());
  ModelRouter router(lukhas::Environment(io.get_executor()),
                     {.transport = transport, .breaker = {.failureThreshold = 10}});
  router.registerModel({.id = "a", .url = "http://m.test", .capabilities = {"chat"}, .maxConcurrent = 5});
  Tally tally;
  for (int i = 0; i < 20; ++i) {
    asio::co_spawn(io, read(router, tally), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&io] { io.run(); });
  for (std::thread& thread : threads) thread.join();
  CHECK(tally.whole + tally.broken + tally.left == 400);
  CHECK(tally.left == 140);
  CHECK(tally.broken > 0);
  CHECK(transport->open() == 0);
  const lukhas::RouterMetrics metrics = router.getMetrics();
  CHECK(metrics.activeRequests == 0);
  CHECK(metrics.successfulRequests == static_cast<std::uint64_t>(tally.whole.load()));
  CHECK(metrics.cancelledRequests == 140);
}

}  // namespace model_stream_threads_test
