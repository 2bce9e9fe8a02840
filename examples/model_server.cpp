// A model server on loopback that needs no model: it speaks OpenAI's chat completions, and fails, stalls or
// is slow when told to. For trying the router, and for tests that need a real HTTP server.
//
//   model_server [--port 0] [--mode ok|fail|stall|slow] [--name NAME] [--delay-ms N]
//
//   POST /v1/chat/completions   an answer that repeats the last message of the user
//   POST /control               {"mode": "fail"} or {"delayMs": 50}, or both: from the next request on
//   GET  /stats                 what it was asked and what it did
//
// Says "listening on http://127.0.0.1:PORT/v1" on its standard output when it takes requests; ends on SIGTERM
// and SIGINT. Listens on 127.0.0.1 only, and checks no key.
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <deque>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <asio.hpp>
#include <fmt/format.h>
#include <lukhas/core/quoted_text.hpp>
#include <nlohmann/json.hpp>
#include <restinio/all.hpp>

using nlohmann::json;

namespace {

constexpr const char* usage =
    "usage: model_server [--port 0] [--mode ok|fail|stall|slow] [--name NAME] [--delay-ms N]\n";
constexpr std::uint64_t longestDelayMs = 600'000;
constexpr std::size_t mostSilent = 500;  // requests that are left without an answer at once
constexpr std::size_t longestEcho = 200;
constexpr std::size_t maxBodyBytes = std::size_t{16} << 20U;

enum class Mode { ok, fail, stall, slow };

std::optional<Mode> modeNamed(std::string_view name) {
  if (name == "ok") return Mode::ok;
  if (name == "fail") return Mode::fail;
  if (name == "stall") return Mode::stall;
  if (name == "slow") return Mode::slow;
  return std::nullopt;
}

const char* nameOf(Mode mode) {
  switch (mode) {
    case Mode::ok: return "ok";
    case Mode::fail: return "fail";
    case Mode::stall: return "stall";
    case Mode::slow: return "slow";
  }
  return "?";
}

struct Settings {
  std::uint16_t port = 0;  // 0: any free one
  Mode mode = Mode::ok;
  std::string name = "model-server";
  std::uint64_t delayMs = 1000;  // before an answer in mode slow
};

std::optional<std::uint64_t> numberUpTo(std::string_view text, std::uint64_t maximum) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > maximum) return std::nullopt;
  return value;
}

// Nothing when an argument is unknown, has no value or a wrong one.
std::optional<Settings> readArguments(int count, char** arguments) {
  Settings settings;
  for (int i = 1; i < count; i += 2) {
    if (i + 1 == count) return std::nullopt;
    const std::string_view option = arguments[i];
    const std::string_view value = arguments[i + 1];
    if (option == "--port") {
      const auto port = numberUpTo(value, 65'535);
      if (!port) return std::nullopt;
      settings.port = static_cast<std::uint16_t>(*port);
    } else if (option == "--mode") {
      const auto mode = modeNamed(value);
      if (!mode) return std::nullopt;
      settings.mode = *mode;
    } else if (option == "--name" && !value.empty() && lukhas::isUtf8(value)) {
      settings.name = value;
    } else if (option == "--delay-ms") {
      const auto delay = numberUpTo(value, longestDelayMs);
      if (!delay) return std::nullopt;
      settings.delayMs = *delay;
    } else {
      return std::nullopt;
    }
  }
  return settings;
}

// A request that is answered with 400 and these words.
struct BadRequest : std::runtime_error {
  using std::runtime_error::runtime_error;
};

json parseBody(const std::string& text) {
  json body = json::parse(text, nullptr, false);
  if (!body.is_object()) throw BadRequest("the body is not a JSON object");
  return body;
}

// A string, or a list of parts of which those of type text count.
std::string textOf(const json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null()) return {};  // a message that only calls tools
  if (!content.is_array()) throw BadRequest("a message's content is neither a string nor a list of parts");
  std::string text;
  for (const json& part : content) {
    if (!part.is_object()) throw BadRequest("a part of a message is not an object");
    const auto words = part.find("text");
    if (words != part.end() && words->is_string()) text += words->get<std::string>();
  }
  return text;
}

std::size_t countWords(std::string_view text) {
  std::size_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!blank && !inside) ++words;
    inside = !blank;
  }
  return words;
}

// The answer to a chat completion. Throws BadRequest.
json completeChat(const json& request, const std::string& serverName, std::uint64_t number) {
  const auto messages = request.find("messages");
  if (messages == request.end() || !messages->is_array() || messages->empty())
    throw BadRequest("messages is not a list with at least one message");
  const auto stream = request.find("stream");
  if (stream != request.end() && *stream == true) throw BadRequest("this server does not stream");

  std::string lastOfUser;
  std::size_t promptWords = 0;
  for (const json& message : *messages) {
    const auto role = message.is_object() ? message.find("role") : message.end();
    if (role == message.end() || !role->is_string()) throw BadRequest("a message has no role");
    const std::string text = textOf(message.value("content", json()));
    promptWords += countWords(text);
    if (*role == "user") lastOfUser = text;
  }

  const std::string answer = fmt::format("{} heard {} in a conversation of {} message{}.", serverName,
                                         lukhas::quotedText(lastOfUser, longestEcho), messages->size(),
                                         messages->size() == 1 ? "" : "s");
  const std::size_t answerWords = countWords(answer);
  const auto model = request.find("model");
  json choice{{"index", 0}, {"finish_reason", "stop"}};
  choice["message"] = {{"role", "assistant"}, {"content", answer}};
  json reply{{"id", fmt::format("chatcmpl-{}", number)},
             {"object", "chat.completion"},
             {"created", std::time(nullptr)},
             {"choices", json::array({choice})}};
  reply["model"] = model != request.end() && model->is_string() ? *model : json(serverName);
  reply["usage"] = {{"prompt_tokens", promptWords},
                    {"completion_tokens", answerWords},
                    {"total_tokens", promptWords + answerWords}};
  return reply;
}

json errorBody(std::string_view message, std::string_view type, const json& code = nullptr) {
  json body;
  body["error"] = {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}};
  return body;
}

class ModelServer {
 public:
  ModelServer(asio::io_context& io, Settings settings) : io_(io), settings_(std::move(settings)) {}

  restinio::request_handling_status_t handle(const restinio::request_handle_t& request) {
    try {
      return dispatch(request);
    } catch (const BadRequest& bad) {
      return respond(request, restinio::status_bad_request(), errorBody(bad.what(), "invalid_request_error"));
    }
  }

 private:
  using Request = restinio::request_handle_t;
  using Handled = restinio::request_handling_status_t;

  Handled dispatch(const Request& request) {
    const std::string_view path(request->header().path().data(), request->header().path().size());
    const bool isGet = request->header().method() == restinio::http_method_get();
    const bool isPost = request->header().method() == restinio::http_method_post();
    if (path == "/v1/chat/completions") return isPost ? chat(request) : wrongMethod(request);
    if (path == "/control") return isPost ? control(request) : wrongMethod(request);
    if (path == "/stats")
      return isGet ? respond(request, restinio::status_ok(), stats()) : wrongMethod(request);
    return respond(request, restinio::status_not_found(), errorBody("no such path", "invalid_request_error"));
  }

  Handled chat(const Request& request) {
    ++requests_;
    switch (settings_.mode) {
      case Mode::ok: break;
      case Mode::slow: return answerLater(request);
      case Mode::stall: return keepSilent(request);
      case Mode::fail:
        ++failed_;
        return respond(request, restinio::status_service_unavailable(),
                       errorBody("the model is overloaded", "server_error", "overloaded"));
    }
    return answer(request);
  }

  Handled answer(const Request& request) {
    try {
      const json reply = completeChat(parseBody(request->body()), settings_.name, answered_ + 1);
      ++answered_;
      return respond(request, restinio::status_ok(), reply);
    } catch (const BadRequest& bad) {
      ++refused_;
      return respond(request, restinio::status_bad_request(), errorBody(bad.what(), "invalid_request_error"));
    }
  }

  Handled answerLater(const Request& request) {
    const auto timer =
        std::make_shared<asio::steady_timer>(io_, std::chrono::milliseconds(settings_.delayMs));
    timer->async_wait([this, timer, request](std::error_code cancelled) {
      if (!cancelled) answer(request);
    });
    return restinio::request_accepted();
  }

  // A request that nobody holds would be closed; one that is kept is never answered.
  Handled keepSilent(const Request& request) {
    ++stalled_;
    silent_.push_back(request);
    if (silent_.size() > mostSilent) silent_.pop_front();
    return restinio::request_accepted();
  }

  // All or nothing: a wrong member leaves everything as it was.
  Handled control(const Request& request) {
    const json body = parseBody(request->body());
    Settings changed = settings_;
    for (const auto& [member, value] : body.items()) {
      if (member == "mode") {
        const auto mode = value.is_string() ? modeNamed(value.get<std::string>()) : std::nullopt;
        if (!mode) throw BadRequest("mode is not one of ok, fail, stall, slow");
        changed.mode = *mode;
      } else if (member == "delayMs") {
        if (!value.is_number_unsigned() || value > longestDelayMs)
          throw BadRequest("delayMs is not 0 to 600000");
        changed.delayMs = value.get<std::uint64_t>();
      } else {
        throw BadRequest("only mode and delayMs can be changed");
      }
    }
    settings_ = changed;
    return respond(request, restinio::status_ok(),
                   {{"mode", nameOf(settings_.mode)}, {"delayMs", settings_.delayMs}});
  }

  json stats() const {
    return {{"name", settings_.name},       {"mode", nameOf(settings_.mode)},
            {"delayMs", settings_.delayMs}, {"requests", requests_},
            {"answered", answered_},        {"failed", failed_},
            {"stalled", stalled_},          {"refused", refused_}};
  }

  Handled wrongMethod(const Request& request) {
    return respond(request, restinio::status_method_not_allowed(),
                   errorBody("no such method here", "invalid_request_error"));
  }

  static Handled respond(const Request& request, restinio::http_status_line_t status, const json& body) {
    return request->create_response(std::move(status))
        .append_header(restinio::http_field::content_type, "application/json")
        .append_header_date_field()
        .set_body(body.dump() + "\n")
        .done();
  }

  asio::io_context& io_;
  Settings settings_;
  std::deque<Request> silent_;
  // Chat completions only.
  std::uint64_t requests_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t stalled_ = 0;
  std::uint64_t refused_ = 0;
};

void serve(const Settings& settings) {
  asio::io_context io{1};
  ModelServer model(io, settings);
  std::uint16_t port = 0;
  std::exception_ptr failure;

  using Traits = restinio::default_single_thread_traits_t;
  restinio::http_server_t<Traits> server(restinio::external_io_context(io), [&](auto& http) {
    http.address("127.0.0.1")
        .port(settings.port)
        .request_handler(
            [&model](const restinio::request_handle_t& request) { return model.handle(request); })
        .incoming_http_msg_limits(restinio::incoming_http_msg_limits_t{}.max_body_size(maxBodyBytes))
        .handle_request_timeout(std::chrono::hours(24))  // a stalled request is never answered
        .acceptor_post_bind_hook(
            [&port](asio::ip::tcp::acceptor& acceptor) { port = acceptor.local_endpoint().port(); });
  });

  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&io](std::error_code, int) { io.stop(); });
  server.open_async([&port] { std::cout << "listening on http://127.0.0.1:" << port << "/v1" << std::endl; },
                    [&](std::exception_ptr error) {
                      failure = error;
                      io.stop();
                    });
  io.run();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

int main(int count, char** arguments) {
  const std::optional<Settings> settings = readArguments(count, arguments);
  if (!settings) {
    std::cerr << usage;
    return 2;
  }
  try {
    serve(*settings);
  } catch (const std::exception& failure) {
    std::cerr << "model_server: " << failure.what() << '\n';
    return 1;
  }
  return 0;
}
