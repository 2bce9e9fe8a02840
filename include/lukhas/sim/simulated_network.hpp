// SimulatedNetwork: the Transport of a simulation, with model endpoints that behave as a test wants them to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "lukhas/route/model.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/route/transport.hpp"
#include "lukhas/sim/present.hpp"
#include "lukhas/sim/simulated_model.hpp"

namespace lukhas {

namespace detail {

// One end of a connection; gone with its frame, or with its life.
class SimulatedConnection {
 public:
  SimulatedConnection(std::shared_ptr<std::size_t> all, std::shared_ptr<std::size_t> model) noexcept
      : all_(std::move(all)), model_(std::move(model)) {}
  SimulatedConnection(SimulatedConnection&&) noexcept = default;
  SimulatedConnection& operator=(SimulatedConnection&&) = delete;
  ~SimulatedConnection() { close(); }

  void close() noexcept {
    if (!all_) return;
    --*std::exchange(all_, nullptr);
    --*std::exchange(model_, nullptr);
  }
  [[nodiscard]] bool isOpen() const noexcept { return all_ != nullptr; }

 private:
  std::shared_ptr<std::size_t> all_;
  std::shared_ptr<std::size_t> model_;
};

}  // namespace detail

// What SimulatedNetwork::send() gives.
class SimulatedExchange final : public HttpExchange {
 public:
  SimulatedExchange(Environment environment, std::shared_ptr<SimulatedModel> model,
                    detail::SimulatedAnswer answer, detail::SimulatedConnection connection)
      : environment_(std::move(environment)),
        model_(std::move(model)),
        answer_(std::move(answer)),
        connection_(std::move(connection)) {}

  [[nodiscard]] int status() const noexcept override { return answer_.status; }
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept override {
    return findHeader(answer_.headers, name);
  }

  [[nodiscard]] asio::awaitable<std::string> read() override {
    const std::size_t end = answer_.reset ? answer_.body.size() / 2 : answer_.body.size();
    if (offset_ < end) {
      if (model_->pause_ > Duration::zero()) co_await environment_.sleepFor(model_->pause_);
      const std::size_t size = std::min(model_->pieceBytes_, end - offset_);
      std::string piece = answer_.body.substr(offset_, size);
      offset_ += size;
      co_return piece;
    }
    if (answer_.hangs && !answer_.reset)
      co_await detail::HangingCalls::of(environment_).wait(environment_, [] { return false; });
    connection_.close();
    if (answer_.reset) throw Error(RouteErrc::connection_lost, "the simulated connection was reset");
    co_return std::string();
  }

 private:
  Environment environment_;
  std::shared_ptr<SimulatedModel> model_;
  detail::SimulatedAnswer answer_;
  detail::SimulatedConnection connection_;
  std::size_t offset_ = 0;
};

// A network with the models that were added to it, in virtual time.
//
//   lukhas::ModelRouter router{world.environment(), {.transport = world.transport()}};
//   world.addModel("http://first.test/v1").reply("hi from first");
//   …
//   CHECK(world.openConnections() == 0);                 // nothing keeps running
//
// A request to a host that no model has fails with name_not_resolved; to another path of a known host it is
// answered with 404. Aborting works as Transport says. Not thread-safe, as all of the simulation.
class SimulatedNetwork final : public Transport {
 public:
  // Refers to `present` weakly: what runs in it may own this transport.
  explicit SimulatedNetwork(const std::shared_ptr<detail::Present>& present) : present_(present) {}

  // Throws Errc::invalid_argument for an address that cannot be one, or that is taken.
  SimulatedModel& addModel(std::string url) {
    const std::string key = withoutSlash(url);
    if (!detail::isModelUrl(key)) throw refusedUrl(url, "is no address of a model");
    if (models_.contains(key)) throw refusedUrl(url, "has a model already");
    const auto model = std::make_shared<SimulatedModel>(key, present_.lock());
    models_.emplace(key, model);
    return *model;
  }
  // Throws Errc::invalid_argument when there is none.
  [[nodiscard]] SimulatedModel& model(const std::string& url) const {
    const auto found = models_.find(withoutSlash(url));
    if (found == models_.end()) throw refusedUrl(url, "has no model");
    return *found->second;
  }
  // Connections with a request under way, to all models.
  [[nodiscard]] std::size_t openConnections() const noexcept { return *open_; }

  // The process has ended: its connections are gone, the models go on. The Simulation calls it.
  void crash() {
    open_ = std::make_shared<std::size_t>(0);
    for (const auto& [url, model] : models_) model->open_ = std::make_shared<std::size_t>(0);
  }

  [[nodiscard]] asio::awaitable<std::unique_ptr<HttpExchange>> send(HttpRequest request) override {
    const std::shared_ptr<detail::Present> present = present_.lock();
    if (!present) throw Error(RouteErrc::transport_failed, "the simulation has ended");
    std::shared_ptr<SimulatedModel> model = find(request.url);
    const bool pathKnown = model != nullptr;
    if (!pathKnown) model = findHost(request.url);
    return answer(present_, present->environment(), open_, std::move(model), pathKnown, std::move(request));
  }

 private:
  using Models = std::map<std::string, std::shared_ptr<SimulatedModel>, std::less<>>;

  static asio::awaitable<std::unique_ptr<HttpExchange>> answer(std::weak_ptr<detail::Present> present,
                                                               Environment environment,
                                                               std::shared_ptr<std::size_t> open,
                                                               std::shared_ptr<SimulatedModel> model,
                                                               bool pathKnown, HttpRequest request) {
    if (!model) {
      co_await environment.sleepFor(Duration::zero());
      throw Error(RouteErrc::name_not_resolved, "no simulated model has this host");
    }
    detail::SimulatedAnswer result;
    Duration latency{};
    if (const std::shared_ptr<detail::Present> now = present.lock()) {
      result = pathKnown ? model->arrive(now->chance())
                         : model->refusal(404, "invalid_request_error", "no such path");
      latency = model->drawLatency(now->chance());
    }
    if (result.refused) {
      co_await environment.sleepFor(latency);
      throw Error(RouteErrc::connect_failed, "the simulated host accepts no connections");
    }
    ++*open;
    model->connected();
    detail::SimulatedConnection connection(std::move(open), model->open_);
    if (pathKnown) model->lastRequest_ = request;
    co_await environment.sleepFor(latency);
    if (result.stalled || model->stalled_) {
      const SimulatedModel* const server = model.get();
      const bool forEver = result.stalled;
      const auto answers = [server, forEver] { return !forEver && !server->stalled_; };
      co_await detail::HangingCalls::of(environment).wait(environment, answers);
    }
    if (pathKnown) {
      const auto wallNow = environment.wallNow().time_since_epoch();
      model->complete(result, request, std::chrono::duration_cast<std::chrono::seconds>(wallNow).count());
    }
    if (headerBytes(result) > request.maxHeaderBytes) {
      throw Error(RouteErrc::headers_too_large,
                  fmt::format("the answer's headers are larger than {} bytes", request.maxHeaderBytes),
                  {{"maximum", request.maxHeaderBytes}});
    }
    co_return std::make_unique<SimulatedExchange>(environment, std::move(model), std::move(result),
                                                  std::move(connection));
  }

  [[nodiscard]] std::shared_ptr<SimulatedModel> find(std::string_view target) const {
    for (const ModelProtocol protocol : {ModelProtocol::openai, ModelProtocol::anthropic}) {
      const std::string_view path = detail::simulatedPath(protocol);
      if (!target.ends_with(path)) continue;
      const auto found = models_.find(target.substr(0, target.size() - path.size()));
      if (found != models_.end() && found->second->protocol_ == protocol) return found->second;
    }
    return nullptr;
  }
  [[nodiscard]] std::shared_ptr<SimulatedModel> findHost(std::string_view target) const {
    for (const auto& [url, model] : models_) {
      if (hostOf(url) == hostOf(target)) return model;
    }
    return nullptr;
  }
  // Scheme, host and port.
  [[nodiscard]] static std::string_view hostOf(std::string_view url) noexcept {
    const std::size_t slashes = url.find("//");
    return url.substr(0, slashes == std::string_view::npos ? url.find('/') : url.find('/', slashes + 2));
  }
  [[nodiscard]] static std::string withoutSlash(std::string_view url) {
    while (url.ends_with('/')) url.remove_suffix(1);
    return std::string(url);
  }
  [[nodiscard]] static std::size_t headerBytes(const detail::SimulatedAnswer& answer) noexcept {
    constexpr std::size_t statusLine = 16;
    constexpr std::size_t separators = 4;
    std::size_t bytes = statusLine;
    for (const HttpHeader& header : answer.headers)
      bytes += header.name.size() + header.value.size() + separators;
    return bytes;
  }
  [[nodiscard]] static Error refusedUrl(std::string_view url, std::string_view why) {
    const std::string shown = quotedText(detail::printableUrl(url), 1024);
    return {Errc::invalid_argument,
            fmt::format("simulated network: {} {}", shown, why),
            {{"argument", "url"}, {"value", shown}}};
  }

  std::weak_ptr<detail::Present> present_;
  Models models_;
  std::shared_ptr<std::size_t> open_ = std::make_shared<std::size_t>(0);  // a new one for each life
};

}  // namespace lukhas
