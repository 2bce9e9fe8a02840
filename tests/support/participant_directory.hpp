// A directory of its own for a test, removed with all that is in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace lukhas::test {

class ParticipantDirectory {
 public:
  ParticipantDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lukhas-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = pattern;
  }
  ParticipantDirectory(const ParticipantDirectory&) = delete;
  ParticipantDirectory& operator=(const ParticipantDirectory&) = delete;
  ~ParticipantDirectory() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace lukhas::test
