#include "lukhas/route/model.hpp"

#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::checkModel;
using lukhas::checkRequest;
using lukhas::ModelDescription;
using lukhas::RouteRequest;
using nlohmann::json;

namespace {

// The refused option and the sentence; empty when the description is accepted.
struct Refusal {
  std::string option;
  std::string message;
};

Refusal refusal(const ModelDescription& model) {
  try {
    checkModel(model);
    return {};
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::invalid_option);
    CHECK_NOTHROW(error.details().dump());
    return {error.details().at("option").get<std::string>(), error.what()};
  }
}
ModelDescription withUrl(const std::string& url) { return {.id = "m", .url = url}; }

Refusal requestRefusal(const RouteRequest& request) {
  try {
    checkRequest(request);
    return {};
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::invalid_argument);
    CHECK_NOTHROW(error.details().dump());
    return {error.details().at("argument").get<std::string>(), error.what()};
  }
}

json hello() { return {{"messages", json::array({{{"role", "user"}, {"content", "Hello"}}})}}; }

}  // namespace

TEST_CASE("a model is described by the fields that matter to its user", "[route]") {
  const ModelDescription model{
      .id = "local-model",
      .url = "http://127.0.0.1:8080/v1",
      .protocol = lukhas::ModelProtocol::openai,
      .priority = 10,
      .capabilities = {"chat"},
      .maxConcurrent = 8,
      .timeout = 10s,
  };
  CHECK(refusal(model).option.empty());
  CHECK(refusal(
            {.id = "first", .url = "http://first.test/v1", .priority = 10, .capabilities = {"text", "code"}})
            .option.empty());
}

TEST_CASE("addresses with a host and a web scheme are accepted", "[route]") {
  for (const char* url : {"http://a", "https://api.example.com/v1", "http://127.0.0.1:1",
                          "http://host:65535/", "http://[::1]:8080/v1", "https://[2001:db8::1]/x/y"}) {
    INFO(url);
    CHECK(refusal(withUrl(url)).option.empty());
  }
}

TEST_CASE("addresses that cannot be called are refused by name", "[route]") {
  for (const char* url :
       {"", "first.test", "ftp://host/", "HTTP://host", "http://", "http:///path", "http://:80",
        "http://host:", "http://host:0", "http://host:65536", "http://host:8a", "http://[::1", "http://[]",
        "http://[::1]x", "http://ho st/", "http://host/\n", "http://host/v1#x", "http://host\\v1"}) {
    INFO(url);
    CHECK(refusal(withUrl(url)).option == "model.url");
  }
}

TEST_CASE("an address with a password or a key is refused and does not repeat it", "[route]") {
  for (const char* url : {"https://me:hunter2@host/v1", "https://host/v1?key=hunter2", "hunter2@host",
                          "https://a/@b:hunter2@host?hunter2"}) {
    INFO(url);
    const Refusal refused = refusal(withUrl(url));
    CHECK(refused.option == "model.url");
    CHECK(refused.message.find("hunter2") == std::string::npos);
    CHECK(refused.message.find("***") != std::string::npos);
  }
}

TEST_CASE("a refused address shows nothing that may be part of a password or a key", "[route]") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"http://user:hunter2@h/v1", "http://***@h/v1"},
      {"http://user:hun?ter2@h/v1", "http://***"},
      {"http://user:hun#ter2@h/", "http://***"},
      {"http://user:hun/ter2@h/v1?key=x", "http://***@h/v1?***"},
      {"user:hun//ter2@h/v1", "***@h/v1"},
      {"ftp://user:hunter2@h", "***@h"},
      {"https://a@hunter2@h#x", "https://***@h#***"},
      {"https://h/v1?key=hun@ter2", "https://***"},
      {"https://h/v1?key=hunter2", "https://h/v1?***"},
      {"https://hunter2@", "https://***@"},
      {"@", "***@"},
      {"http://", "http://"},
      {"ftp://h/v1", "ftp://h/v1"},
  };
  for (const auto& [url, shown] : table) CHECK(lukhas::detail::printableUrl(url) == shown);
}

TEST_CASE("a model's fields are checked at their bounds and one past them", "[route]") {
  const std::string longest(256, 'x');
  ModelDescription model{.id = longest, .url = "http://a"};
  CHECK(refusal(model).option.empty());
  const auto with = [](auto change) {
    ModelDescription changed{.id = "m", .url = "http://a"};
    change(changed);
    return refusal(changed).option;
  };
  CHECK(with([](auto& m) { m.id = ""; }) == "model.id");
  CHECK(with([&](auto& m) { m.id = longest + "x"; }) == "model.id");
  CHECK(with([](auto& m) { m.id = "a\nb"; }) == "model.id");
  CHECK(with([](auto& m) { m.id = "\xff"; }) == "model.id");
  CHECK(with([](auto& m) { m.capabilities = {"chat", ""}; }) == "model.capabilities");
  CHECK(with([](auto& m) { m.maxConcurrent = 0; }) == "model.maxConcurrent");
  CHECK(with([](auto& m) { m.maxConcurrent = 100'000; }).empty());
  CHECK(with([](auto& m) { m.maxConcurrent = 100'001; }) == "model.maxConcurrent");
  CHECK(with([](auto& m) { m.timeout = 0ms; }) == "model.timeout");
  CHECK(with([](auto& m) { m.timeout = 24h + 1ns; }) == "model.timeout");
  CHECK(with([](auto& m) { m.modelName = "a\tb"; }) == "model.modelName");
  CHECK(with([](auto& m) { m.protocol = static_cast<lukhas::ModelProtocol>(9); }) == "model.protocol");
}

TEST_CASE("a refusal names the model and the value and what is allowed", "[route]") {
  const std::string message = refusal(withUrl("ftp://host")).message;
  CHECK(message.find("\"m\"") != std::string::npos);
  CHECK(message.find("ftp://host") != std::string::npos);
  CHECK(message.find("http://") != std::string::npos);
}

TEST_CASE("a request is an id and a context with messages and what it requires", "[route]") {
  const json context = hello();
  const RouteRequest request{"req-001", context, {"text"}};
  CHECK(requestRefusal(request).option.empty());
  CHECK(request.requirements().size() == 1);
  CHECK(requestRefusal({"turn", context}).option.empty());
}

TEST_CASE("requests that nobody could answer are refused with the reason", "[route]") {
  const json context = hello();
  CHECK(requestRefusal({"", context}).option == "id");
  CHECK(requestRefusal({"\xff", context}).option == "id");
  CHECK(requestRefusal({"r", json()}).option == "context");
  CHECK(requestRefusal({"r", json::array()}).option == "context");
  CHECK(requestRefusal({"r", json::object()}).option == "context");
  CHECK(requestRefusal({"r", json{{"messages", "hi"}}}).option == "context.messages");
  CHECK(requestRefusal({"r", json{{"messages", json::array()}}}).option == "context.messages");
  CHECK(requestRefusal({"r", json{{"messages", json::array({"hi"})}}}).option == "context.messages");
  CHECK(requestRefusal({"r", context, {"chat", ""}}).option == "requirements");
  CHECK(requestRefusal({"r", json{{"messages", 3}}}).message ==
        "route request \"r\": context.messages must be an array; it is of type number");
}

TEST_CASE("a model can do what is required when it offers all of it", "[route]") {
  CHECK(lukhas::hasCapabilities({"text", "code"}, {"text"}));
  CHECK(lukhas::hasCapabilities({"text", "code"}, {"code", "text"}));
  CHECK(lukhas::hasCapabilities({"text"}, {}));
  CHECK_FALSE(lukhas::hasCapabilities({"text"}, {"text", "vision"}));
  CHECK_FALSE(lukhas::hasCapabilities({}, {"text"}));
}

TEST_CASE("double and unknown models are named in their errors", "[route]") {
  CHECK(lukhas::duplicateModel("first").code() == lukhas::RouteErrc::duplicate_model);
  CHECK(lukhas::duplicateModel("first").details().at("modelId") == "first");
  CHECK(lukhas::unknownModel("first").code() == lukhas::RouteErrc::unknown_model);
  CHECK(std::string(lukhas::unknownModel("first").what()) == "no model \"first\" is registered");
}
