// Calls of tools, in the same words whatever protocol the model speaks.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

namespace lukhas {

// A tool that the model wants to be called. Its result goes back under `id`.
struct ToolCall {
  ToolCall() = default;
  ToolCall(std::string callId, std::string tool, std::string text)
      : id(std::move(callId)), name(std::move(tool)), arguments(std::move(text)) {}

  std::string id;
  std::string name;
  std::string arguments;  // JSON as text, as the model wrote it: it may be broken
};

// What a delta adds to a call: id and name come once, with the first piece; the arguments of all pieces of
// one index together are the call's.
struct ToolCallPiece {
  ToolCallPiece() = default;
  ToolCallPiece(std::size_t number, std::string callId, std::string tool, std::string text)
      : index(number), id(std::move(callId)), name(std::move(tool)), arguments(std::move(text)) {}

  std::size_t index = 0;  // which of the answer's calls, from 0
  std::string id;
  std::string name;
  std::string arguments;
};

}  // namespace lukhas
