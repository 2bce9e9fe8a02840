// The router on an io_context that several threads run.
#include "lukhas/route/model_router.hpp"

#include <atomic>
#include <thread>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include "support/catch.hpp"
#include "unit/route/router_world.hpp"

using namespace std::chrono_literals;
using lukhas::ModelRouter;

namespace {

// Answers after a few turns of the io_context; every seventh answer is a failure.
class ThreadedTransport final : public lukhas::Transport {
 public:
  explicit ThreadedTransport(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  asio::awaitable<std::unique_ptr<lukhas::HttpExchange>> send(lukhas::HttpRequest) override {
    const Count counted(*this);
    for (int i = 0; i < 3; ++i) co_await asio::post(executor_, asio::use_awaitable);
    co_return std::make_unique<Exchange>(++answers_ % 7 == 0 ? 503 : 200);
  }
  [[nodiscard]] std::size_t mostAtOnce() const { return most_.load(); }

 private:
  struct Count {
    explicit Count(ThreadedTransport& transport) : now(transport.now_) {
      const std::size_t mine = ++now;
      std::size_t seen = transport.most_.load();
      while (seen < mine && !transport.most_.compare_exchange_weak(seen, mine)) {
      }
    }
    ~Count() { --now; }
    std::atomic<std::size_t>& now;
  };
  class Exchange final : public lukhas::HttpExchange {
   public:
    explicit Exchange(int status) : status_(status) {}
    int status() const noexcept override { return status_; }
    std::optional<std::string_view> header(std::string_view) const noexcept override { return std::nullopt; }
    asio::awaitable<std::string> read() override {
      if (std::exchange(read_, true)) co_return std::string();
      co_return R"({"choices":[{"message":{"role":"assistant","content":"yes"}}]})";
    }

   private:
    int status_;
    bool read_ = false;
  };

  asio::any_io_executor executor_;
  std::atomic<std::size_t> now_ = 0;
  std::atomic<std::size_t> most_ = 0;
  std::atomic<std::size_t> answers_ = 0;
};

asio::awaitable<void> ask(ModelRouter& router, std::atomic<int>& answered) {
  for (int i = 0; i < 10; ++i) {
    const nlohmann::json context = lukhas::test::helloContext();
    const lukhas::ModelReply reply = co_await router.route({"req", context, {"chat"}});
    answered += reply.text() == "yes" ? 1 : 0;
  }
}

}  // namespace

TEST_CASE("any thread may route and register and look", "[route]") {
  asio::io_context io;
  const auto transport = std::make_shared<ThreadedTransport>(io.get_executor());
  ModelRouter router(lukhas::Environment(io.get_executor()),
                     {.transport = transport,
                      .maxAttempts = 20,
                      .breaker = {.failureThreshold = 10},
                      .retry = {.firstDelay = 0ns, .longestDelay = 0ns}});
  for (const char* id : {"a", "b"})
    router.registerModel({.id = id, .url = "http://m.test", .capabilities = {"chat"}, .maxConcurrent = 3});
  std::atomic<int> answered = 0;
  for (int i = 0; i < 30; ++i) {
    asio::co_spawn(io, ask(router, answered), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&io] { io.run(); });
  for (int i = 0; i < 100; ++i) {
    router.registerModel({.id = "c", .url = "http://m.test", .capabilities = {"other"}});
    (void)router.getMetrics();
    (void)router.healthCheck();
    router.unregisterModel("c");
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(answered == 300);
  CHECK(transport->mostAtOnce() <= 6);
  CHECK(router.getMetrics().successfulRequests == 300);
  CHECK(router.getMetrics().failovers + router.getMetrics().retries > 0);
}
