// OpenedStream: the connection of a stream whose first content has come.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "lukhas/route/detail/model_place.hpp"
#include "lukhas/route/model_delta.hpp"
#include "lukhas/route/stream_reader.hpp"
#include "lukhas/route/transport.hpp"

namespace lukhas::detail {

struct OpenedStream {
  OpenedStream(ModelPlace taken, std::string secret, std::unique_ptr<StreamDecoder> reader,
               std::unique_ptr<HttpExchange> answer) noexcept
      : place(std::move(taken)),
        key(std::move(secret)),
        decoder(std::move(reader)),
        exchange(std::move(answer)) {}

  ModelPlace place;
  std::string key;  // so that no error repeats it
  std::unique_ptr<StreamDecoder> decoder;
  std::deque<ModelDelta> deltas;           // read, and not handed over yet
  std::unique_ptr<HttpExchange> exchange;  // last: the connection ends before the place is given back
};

}  // namespace lukhas::detail
