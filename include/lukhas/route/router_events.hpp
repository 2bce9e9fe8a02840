// The router's events beside those of its circuits (CircuitEvent, in circuit_breaker.hpp).
#pragma once

#include <ostream>
#include <string>
#include <system_error>

#include "lukhas/core/quoted_text.hpp"

namespace lukhas {

// A request goes on at another model, because an attempt failed.
struct FailoverEvent {
  std::string requestId;
  std::string from;       // the model that failed
  std::string to;         // the model that is asked now
  unsigned attempt = 0;   // the number of the attempt that begins: 2 or more
  std::error_code cause;  // how the attempt before ended

  friend std::ostream& operator<<(std::ostream& out, const FailoverEvent& event) {
    return out << "request " << quotedText(event.requestId, 256) << " fails over from "
               << quotedText(event.from, 256) << " to " << quotedText(event.to, 256) << " (attempt "
               << event.attempt << "): " << event.cause.message();
  }
};

// A request asks the same model once more, after its backoff.
struct RetryEvent {
  std::string requestId;
  std::string modelId;
  unsigned attempt = 0;   // the number of the attempt that begins: 2 or more
  std::error_code cause;  // how the attempt before ended

  friend std::ostream& operator<<(std::ostream& out, const RetryEvent& event) {
    return out << "request " << quotedText(event.requestId, 256) << " asks " << quotedText(event.modelId, 256)
               << " again (attempt " << event.attempt << "): " << event.cause.message();
  }
};

// A request asks a second model while the first one has not answered.
struct HedgeEvent {
  std::string requestId;
  std::string slow;      // the model that has not answered
  std::string modelId;   // the model that is asked beside it
  unsigned attempt = 0;  // the number of the attempt that begins: 2 or more

  friend std::ostream& operator<<(std::ostream& out, const HedgeEvent& event) {
    return out << "request " << quotedText(event.requestId, 256) << " asks " << quotedText(event.modelId, 256)
               << " beside " << quotedText(event.slow, 256) << " (attempt " << event.attempt << ")";
  }
};

}  // namespace lukhas
