#include "lukhas/participants/detail/abort_fence.hpp"

#include <string>

#include "support/catch.hpp"

using namespace lukhas;
using lukhas::detail::AbortFence;

namespace {

std::string idOf(std::uint64_t sequence, std::uint64_t epoch = 1, const std::string& coordinator = "c") {
  return TransactionId{"space", coordinator, epoch, sequence}.toString();
}

}  // namespace

TEST_CASE("the fence refuses what was aborted and nothing else", "[participants]") {
  AbortFence fence;
  CHECK(fence.refusal(idOf(1)) == nullptr);
  CHECK(fence.add(idOf(1)));
  CHECK_FALSE(fence.add(idOf(1)));
  CHECK(fence.refusal(idOf(1)) != nullptr);
  CHECK(fence.wasAborted(idOf(1)));
  CHECK(fence.refusal(idOf(0)) == nullptr);
  CHECK(fence.refusal(idOf(2)) == nullptr);
  CHECK(fence.refusal(idOf(1, 1, "another")) == nullptr);
}

TEST_CASE("a newer epoch refuses everything of the older ones", "[participants]") {
  AbortFence fence;
  CHECK(fence.accept(idOf(1, 2)));
  CHECK_FALSE(fence.accept(idOf(2, 2)));
  CHECK(fence.refusal(idOf(9, 1)) != nullptr);
  CHECK_FALSE(fence.wasAborted(idOf(9, 1)));
  CHECK(fence.refusal(idOf(9, 1, "another")) == nullptr);
  CHECK_FALSE(fence.add(idOf(9, 1)));
  CHECK(fence.add(idOf(1, 3)));
  CHECK(fence.refusal(idOf(9, 2)) != nullptr);
  CHECK(fence.refusal(idOf(2, 3)) == nullptr);
}

TEST_CASE("an abort of an earlier epoch does not end the present one", "[participants]") {
  AbortFence fence;
  CHECK(fence.accept(idOf(1, 1)));
  CHECK(fence.add(idOf(7, 1)));
  CHECK(fence.accept(idOf(1, 2)));
  CHECK_FALSE(fence.add(idOf(8, 1)));
  CHECK(fence.refusal(idOf(2, 2)) == nullptr);
  CHECK(fence.refusal(idOf(7, 1)) != nullptr);
}

TEST_CASE("what was aborted stays refused however much is aborted later", "[participants]") {
  AbortFence fence;
  const std::uint64_t count = AbortFence::maxAborted;
  for (std::uint64_t i = 10; i < 10 + count; ++i) CHECK(fence.add(idOf(i)));
  CHECK(fence.refusal(idOf(9)) == nullptr);  // at the bound nothing is given up
  const std::size_t size = fence.encode().size();
  for (std::uint64_t i = 10 + count; i < 10 + 5 * count; ++i) CHECK(fence.add(idOf(i)));
  for (std::uint64_t i = 10; i < 10 + 5 * count; ++i) REQUIRE(fence.refusal(idOf(i)) != nullptr);
  CHECK(fence.refusal(idOf(9)) != nullptr);  // too slow
  CHECK(fence.refusal(idOf(10 + 5 * count)) == nullptr);
  CHECK(fence.encode().size() < 2 * size);
}

TEST_CASE("of ids without an order the newest aborts are remembered", "[participants]") {
  AbortFence fence;
  for (std::uint64_t i = 0; i <= AbortFence::maxAborted; ++i) CHECK(fence.add(std::to_string(i)));
  CHECK(fence.refusal("0") == nullptr);
  CHECK(fence.refusal("1") != nullptr);
  CHECK_FALSE(fence.accept("next"));
}

TEST_CASE("of many coordinators those that changed something last are remembered", "[participants]") {
  AbortFence fence;
  for (std::uint64_t i = 0; i < AbortFence::maxCoordinators; ++i)
    CHECK(fence.add(idOf(1, 1, std::to_string(i))));
  CHECK(fence.add(idOf(2, 1, "0")));
  CHECK(fence.add(idOf(1, 1, "one-more")));
  CHECK(fence.refusal(idOf(1, 1, "0")) != nullptr);
  CHECK(fence.refusal(idOf(1, 1, "1")) == nullptr);
  CHECK(fence.refusal(idOf(1, 1, "2")) != nullptr);
}

TEST_CASE("a fence that was stored is the same fence", "[participants]") {
  AbortFence fence;
  CHECK(AbortFence::decode(fence.encode()).encode() == fence.encode());
  CHECK(fence.add(idOf(5, 3)));
  CHECK(fence.add("without order"));
  for (std::uint64_t i = 10; i < 20 + AbortFence::maxAborted; ++i) (void)fence.add(idOf(i, 3));
  const AbortFence copy = AbortFence::decode(fence.encode());
  CHECK(copy.encode() == fence.encode());
  CHECK(copy.refusal(idOf(6, 3)) != nullptr);
  CHECK(copy.refusal(idOf(1, 2)) != nullptr);
  CHECK(copy.refusal("without order") != nullptr);
  CHECK(copy.refusal(idOf(5000, 3)) == nullptr);
}

TEST_CASE("bytes that are no fence are refused", "[participants]") {
  for (const char* text : {"", "x", "\x80", "\x82\x80\x01", "\x82\x81\x01\x80"}) {
    bool refused = false;
    try {
      (void)AbortFence::decode(asBytes(text));
    } catch (const Error& error) {
      refused = error.code() == Errc::decode_failed;
    }
    CHECK(refused);
  }
}
