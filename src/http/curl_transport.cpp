#include "lukhas/http/curl_transport.hpp"

#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

#include "curl_engine.hpp"
#include "lukhas/core/option_check.hpp"

namespace lukhas {

namespace {

using detail::CurlEngine;
using detail::CurlTransfer;

// A transfer that is aborted when nobody holds it any more.
class OwnedTransfer {
 public:
  OwnedTransfer(std::shared_ptr<CurlEngine> engine, HttpRequest request)
      : engine_(std::move(engine)), transfer_(engine_->begin(std::move(request))) {}
  OwnedTransfer(OwnedTransfer&&) noexcept = default;
  OwnedTransfer& operator=(OwnedTransfer&&) = delete;
  ~OwnedTransfer() { abort(); }

  void abort() noexcept {
    if (transfer_) engine_->abort(*transfer_);
  }
  [[nodiscard]] const std::shared_ptr<CurlEngine>& engine() const noexcept { return engine_; }
  [[nodiscard]] const std::shared_ptr<CurlTransfer>& transfer() const noexcept { return transfer_; }

 private:
  std::shared_ptr<CurlEngine> engine_;
  std::shared_ptr<CurlTransfer> transfer_;  // null: moved from
};

class CurlExchange final : public HttpExchange {
 public:
  explicit CurlExchange(OwnedTransfer transfer) : owned_(std::move(transfer)) {}

  int status() const noexcept override { return owned_.transfer()->head().status(); }
  std::optional<std::string_view> header(std::string_view name) const noexcept override {
    return findHeader(owned_.transfer()->head().headers(), name);
  }
  asio::awaitable<std::string> read() override { return readOn(owned_.engine(), owned_.transfer()); }

 private:
  // Static, and with shares of its own: the exchange may be destroyed while it waits.
  static asio::awaitable<std::string> readOn(std::shared_ptr<CurlEngine> engine,
                                             std::shared_ptr<CurlTransfer> transfer) {
    for (;;) {
      std::optional<std::string> piece = engine->pollBody(*transfer);
      if (piece) co_return std::move(*piece);
      try {
        co_await engine->waitForBody(*transfer);
      } catch (...) {
        engine->abort(*transfer);
        throw;
      }
    }
  }

  OwnedTransfer owned_;
};

asio::awaitable<std::unique_ptr<HttpExchange>> sendOn(std::shared_ptr<CurlEngine> engine,
                                                      HttpRequest request) {
  OwnedTransfer owned(engine, std::move(request));
  while (!engine->pollHead(*owned.transfer())) co_await engine->waitForHead(*owned.transfer());
  co_return std::make_unique<CurlExchange>(std::move(owned));
}

void checkOptions(const CurlTransportOptions& options) {
  using namespace std::chrono_literals;
  constexpr const char* who = "CurlTransport";
  requireOption(who, "maxConnections", options.maxConnections, 1, 65'536);
  requireOption(who, "maxQueued", options.maxQueued, 0, 1'000'000);
  requireOption(who, "maxIdleTime", options.maxIdleTime, 0s, 1h);
  requireOption(who, "maxConnectionAge", options.maxConnectionAge, 1s, 24h);
  const bool usable = options.caFile.empty() || std::ifstream(options.caFile).good();
  requireOptionRule(who, "caFile", options.caFile, usable, "a file that can be read, or empty");
}

}  // namespace

std::shared_ptr<CurlTransport> CurlTransport::create(Environment environment, CurlTransportOptions options) {
  checkOptions(options);
  auto engine = std::make_shared<CurlEngine>(std::move(options));
  engine->open(environment);
  return std::shared_ptr<CurlTransport>(new CurlTransport(std::move(engine)));
}

CurlTransport::CurlTransport(std::shared_ptr<detail::CurlEngine> engine) : engine_(std::move(engine)) {}

CurlTransport::~CurlTransport() { engine_->close(); }

asio::awaitable<std::unique_ptr<HttpExchange>> CurlTransport::send(HttpRequest request) {
  return sendOn(engine_, std::move(request));
}

CurlTransportMetrics CurlTransport::getMetrics() const { return engine_->getMetrics(); }

}  // namespace lukhas
