// SPDX-License-Identifier: MIT
// Writes small checkpoint folders for tests.
#pragma once

#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/shape.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lazuli::test {

// A folder that is removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lazuli-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) fail("{}: cannot create the folder", pattern);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ + '/' + name, std::ios::binary) << bytes;
  }

 private:
  std::string path_;
};

class SafetensorsWriter {
 public:
  SafetensorsWriter& add(const std::string& name, const std::string& dtype, const Shape& shape,
                         const std::vector<std::uint8_t>& bytes) {
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_.append(bytes.begin(), bytes.end());
    return *this;
  }
  void write(const std::string& path) const {
    const std::string header = header_.dump();
    std::string bytes(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i) & 255);
    std::ofstream(path, std::ios::binary) << bytes << header << data_;
  }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  std::string data_;
};

}  // namespace lazuli::test
