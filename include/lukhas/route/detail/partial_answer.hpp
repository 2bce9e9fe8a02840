// PartialAnswer: what a stream had said, for the error that it may end in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/route/model_delta.hpp"
#include "lukhas/route/tool_call.hpp"

namespace lukhas::detail {

// Keeps at most so many bytes of text, of thinking, and of all calls of tools.
class PartialAnswer {
 public:
  explicit PartialAnswer(std::size_t maxBytes)
      : text_(maxBytes), thinking_(maxBytes), callBytesLeft_(maxBytes) {}

  void add(const ModelDelta& delta) {
    text_.add(delta.text);
    thinking_.add(delta.thinking);
    for (const ToolCallPiece& piece : delta.toolCalls) addPiece(piece);
    onlyWords_ = onlyWords_ && delta.toolCalls.empty() && delta.refusal.empty();
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_.kept; }
  // All that was said is text that is here, or thinking: nobody has acted on half of a call.
  [[nodiscard]] bool canBeContinued() const noexcept { return onlyWords_ && !text_.cut; }

  void describe(nlohmann::json& details) const {
    details["text"] = text_.kept;
    details["textCut"] = text_.cut;
    if (!thinking_.kept.empty()) details["thinking"] = thinking_.kept;
    if (calls_.empty()) return;
    nlohmann::json list = nlohmann::json::array();
    for (const ToolCall& call : calls_)
      list.push_back({{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
    details["toolCalls"] = std::move(list);
  }

 private:
  struct Kept {
    explicit Kept(std::size_t most) : room(most) {}

    // At most so many bytes, and no half of a character. Nothing is kept after a gap.
    void add(std::string_view more) {
      if (cut || more.empty()) return;
      const std::string_view part = cutText(more, room);
      cut = part.size() < more.size();
      kept += part;
      room -= part.size();
    }

    std::string kept;
    std::size_t room;
    bool cut = false;
  };

  static std::string_view cutText(std::string_view text, std::size_t most) noexcept {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
    return text.substr(0, most);
  }

  // The calls that are kept are the first ones: an index that leaves one out is not followed.
  void addPiece(const ToolCallPiece& piece) {
    constexpr std::size_t bytesOfCall = 64;  // an empty call is not free either
    const std::size_t bytes = piece.id.size() + piece.name.size() + piece.arguments.size();
    const bool begins = piece.index == calls_.size();
    const std::size_t wanted = bytes + (begins ? bytesOfCall : 0);
    if (piece.index > calls_.size()) return;
    if (wanted > callBytesLeft_) callBytesLeft_ = 0;  // nothing is kept after a gap
    if (wanted > callBytesLeft_) return;
    callBytesLeft_ -= wanted;
    if (begins) calls_.emplace_back();
    ToolCall& call = calls_[piece.index];
    if (call.id.empty()) call.id = piece.id;
    if (call.name.empty()) call.name = piece.name;
    call.arguments += piece.arguments;
  }

  Kept text_;
  Kept thinking_;
  std::vector<ToolCall> calls_;
  std::size_t callBytesLeft_;
  bool onlyWords_ = true;
};

}  // namespace lukhas::detail
