#include "lukhas/store/detail/load_trace.hpp"

#include <memory>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "support/catch.hpp"

namespace load_trace_test {

using lukhas::detail::Load;
using lukhas::detail::LoadExecutor;
using lukhas::detail::LoadGraph;
using lukhas::detail::LoadTrace;
using lukhas::detail::traceOf;
using Path = std::vector<std::string>;

namespace {

std::shared_ptr<Load> loadOf(const char* key) {
  auto load = std::make_shared<Load>();
  load->key = key;
  return load;
}

}  // namespace

TEST_CASE("a coroutine's executor says in which loader it runs while that runs", "[store]") {
  asio::io_context io;
  const asio::any_io_executor plain = io.get_executor();
  const auto trace = std::make_shared<const LoadTrace>(&io, loadOf("a"), nullptr);
  const asio::any_io_executor inside = LoadExecutor(plain, trace);
  const asio::any_io_executor strand = asio::make_strand(inside);
  const asio::any_io_executor otherStrand = asio::make_strand(io);

  CHECK(traceOf(plain) == nullptr);
  CHECK(traceOf(asio::any_io_executor()) == nullptr);
  CHECK(traceOf(otherStrand) == nullptr);
  CHECK(traceOf(inside) == trace);
  CHECK(traceOf(strand) == trace);
  CHECK(traceOf(asio::prefer(inside, asio::execution::outstanding_work.tracked)) == trace);
  CHECK(traceOf(asio::require(inside, asio::execution::blocking.never)) == trace);
  { const LoadTrace::Run running(trace); }
  CHECK(traceOf(inside) == nullptr);
  CHECK(traceOf(strand) == nullptr);
}

TEST_CASE("the executor of a loader runs where its caller's does and equals itself", "[store]") {
  asio::io_context io;
  asio::io_context other;
  const auto trace = std::make_shared<const LoadTrace>(&io, loadOf("a"), nullptr);
  const auto second = std::make_shared<const LoadTrace>(&io, loadOf("a"), nullptr);
  const asio::any_io_executor inside = LoadExecutor(io.get_executor(), trace);
  CHECK(inside == asio::any_io_executor(LoadExecutor(io.get_executor(), trace)));
  CHECK(inside != asio::any_io_executor(LoadExecutor(other.get_executor(), trace)));
  CHECK(inside != asio::any_io_executor(LoadExecutor(io.get_executor(), second)));
  CHECK(&asio::query(inside, asio::execution::context) == &static_cast<asio::execution_context&>(io));
  bool ran = false;
  asio::post(inside, [&] { ran = true; });
  io.run();
  CHECK(ran);
}

TEST_CASE("a circle of loads is found, whoever closes it, and named", "[store]") {
  LoadGraph graph;
  const auto a = loadOf("a");
  const auto b = loadOf("b");
  const auto c = loadOf("c");
  CHECK(graph.enter(*a, *a) == Path{"a"});
  CHECK(graph.enter(*a, *b).empty());
  CHECK(graph.enter(*b, *c).empty());
  CHECK(graph.enter(*a, *c).empty());
  CHECK(graph.enter(*c, *a) == Path{"a", "b", "c"});
  CHECK(graph.enter(*c, *b) == Path{"b", "c"});
  graph.leave(*b, *c);
  CHECK(graph.enter(*c, *b).empty());
  CHECK(graph.enter(*b, *a).empty() == false);
}

TEST_CASE("a load that was entered twice is left twice", "[store]") {
  LoadGraph graph;
  const auto a = loadOf("a");
  const auto b = loadOf("b");
  CHECK(graph.enter(*a, *b).empty());
  CHECK(graph.enter(*a, *b).empty());
  graph.leave(*a, *b);
  CHECK_FALSE(graph.enter(*b, *a).empty());
  graph.leave(*a, *b);
  CHECK(graph.enter(*b, *a).empty());
}

}  // namespace load_trace_test
