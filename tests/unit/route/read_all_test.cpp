#include "lukhas/route/read_all.hpp"

#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using lukhas::HttpExchange;
using lukhas::RouteErrc;

namespace {

// Gives its pieces one by one, and says when it is destroyed and how much of it was read.
struct Watch {
  bool closed = false;
  int reads = 0;
};

class Pieces final : public HttpExchange {
 public:
  Pieces(std::vector<std::string> pieces, Watch& watch) : pieces_(std::move(pieces)), watch_(watch) {}
  ~Pieces() override { watch_.closed = true; }

  int status() const noexcept override { return 200; }
  std::optional<std::string_view> header(std::string_view) const noexcept override { return std::nullopt; }
  asio::awaitable<std::string> read() override {
    const auto index = static_cast<std::size_t>(watch_.reads++);
    co_return index < pieces_.size() ? pieces_[index] : std::string();
  }

 private:
  std::vector<std::string> pieces_;
  Watch& watch_;
};

using Reader = asio::awaitable<std::string> (*)(std::unique_ptr<HttpExchange>, std::size_t);

struct Result {
  std::string body;
  std::error_code error;
  Watch watch;
};

asio::awaitable<void> readInto(Reader reader, std::vector<std::string> pieces, std::size_t maxBytes,
                               Result& result) {
  std::unique_ptr<HttpExchange> exchange = std::make_unique<Pieces>(std::move(pieces), result.watch);
  try {
    result.body = co_await reader(std::move(exchange), maxBytes);
  } catch (const lukhas::Error& error) {
    result.error = error.code();
    CHECK(error.details().at("maximum") == maxBytes);
  }
}

Result run(Reader reader, std::vector<std::string> pieces, std::size_t maxBytes) {
  lukhas::Simulation world{{.seed = 1}};
  Result result;
  world.spawn(readInto(reader, std::move(pieces), maxBytes, result));
  world.run();
  CHECK(result.watch.closed);
  return result;
}

}  // namespace

TEST_CASE("the pieces of a body are joined", "[route]") {
  CHECK(run(lukhas::readAll, {"ab", "c", "de"}, 100).body == "abcde");
  CHECK(run(lukhas::readAll, {}, 0).body.empty());
}

TEST_CASE("a body at its bound is read and one byte more is refused", "[route]") {
  CHECK(run(lukhas::readAll, {"abc", "de"}, 5).body == "abcde");
  const Result result = run(lukhas::readAll, {"abc", "def", "ghi"}, 5);
  CHECK(result.error == RouteErrc::body_too_large);
  CHECK(result.watch.reads == 2);
}

TEST_CASE("the beginning of a body is cut at its bound", "[route]") {
  CHECK(run(lukhas::readBeginning, {"abc", "de"}, 5).body == "abcde");
  CHECK(run(lukhas::readBeginning, {"abc", "defgh", "ijk"}, 5).body == "abcde");
  CHECK(run(lukhas::readBeginning, {"abc", "defgh", "ijk"}, 5).watch.reads == 2);
  CHECK(run(lukhas::readBeginning, {"abc"}, 5).body == "abc");
  CHECK(run(lukhas::readBeginning, {"abc"}, 0).body.empty());
}
