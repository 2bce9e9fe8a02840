#include "lukhas/core/health.hpp"

#include "support/catch.hpp"

using lukhas::HealthReport;

TEST_CASE("a report without issues is healthy", "[core]") {
  const HealthReport health;
  CHECK(health.healthy);
  CHECK(health.toJson() == nlohmann::json::parse(R"({"healthy":true,"issues":[]})"));
}

TEST_CASE("one issue with its figure makes a report unhealthy", "[core]") {
  HealthReport health;
  health.report("high_timeout_rate", "5.2 % of the lock requests timed out", 5.2, 5);

  CHECK_FALSE(health.healthy);
  REQUIRE(health.issues.size() == 1);
  CHECK(health.toJson() == nlohmann::json::parse(R"({"healthy":false,"issues":[{"code":"high_timeout_rate",
      "message":"5.2 % of the lock requests timed out","value":5.2,"limit":5.0}]})"));
}

TEST_CASE("an appended part names itself in the codes", "[core]") {
  HealthReport part;
  part.report("slow", "slow", 2, 1);
  part.report("full", "full", 4, 3);
  HealthReport whole;
  whole.report("own", "own", 1, 0);

  whole.append("lock", part);

  CHECK_FALSE(whole.healthy);
  REQUIRE(whole.issues.size() == 3);
  CHECK(whole.issues[0].code == "own");
  CHECK(whole.issues[1].code == "lock.slow");
  CHECK(whole.issues[1].value == 2);
  CHECK(whole.issues[1].limit == 1);
  CHECK(whole.issues[2].code == "lock.full");
  CHECK(whole.issues[2].message == "full");
  CHECK(part.issues[0].code == "slow");
}

TEST_CASE("a healthy part leaves the whole as it is", "[core]") {
  HealthReport whole;
  whole.append("lock", HealthReport());
  CHECK(whole.healthy);
  whole.report("own", "own", 1, 0);
  whole.append("store", HealthReport());
  CHECK_FALSE(whole.healthy);
}

TEST_CASE("a report may be appended to itself", "[core]") {
  HealthReport health;
  health.report("a", "a", 1, 0);
  health.append("twice", health);
  REQUIRE(health.issues.size() == 2);
  CHECK(health.issues[1].code == "twice.a");
}
