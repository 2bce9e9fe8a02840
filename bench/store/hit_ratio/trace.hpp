// Trace: a sequence of accesses to keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hit_ratio {

using Key = std::uint32_t;

struct Trace {
  std::string name;
  std::vector<Key> keys;  // numbered from 0 in the order of their first access
  std::size_t distinct = 0;
};

template <class Name>
[[nodiscard]] Trace numbered(std::string name, const std::vector<Name>& accesses) {
  Trace trace;
  trace.name = std::move(name);
  trace.keys.reserve(accesses.size());
  std::unordered_map<Name, Key> numbers;
  for (const Name& key : accesses) {
    trace.keys.push_back(numbers.try_emplace(key, static_cast<Key>(numbers.size())).first->second);
  }
  trace.distinct = numbers.size();
  return trace;
}

// One key a line. Throws std::runtime_error when the file cannot be read.
[[nodiscard]] inline Trace readTrace(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("no such trace: " + file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  const std::string name = file.substr(file.rfind('/') + 1);
  return numbered(name.substr(0, name.find('.')), lines);
}

}  // namespace hit_ratio
