// Delivery: how an answer is to come.
#pragma once

#include <cstdint>

namespace lukhas {

enum class Delivery : std::uint8_t {
  whole,   // in one piece
  stream,  // as server-sent events, as the model says it
};

}  // namespace lukhas
