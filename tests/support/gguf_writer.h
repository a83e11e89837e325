// SPDX-License-Identifier: MIT
// Small GGUF files for tests.
#pragma once

#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/checkpoint/gguf_writer.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli::test {

using lazuli::GgufWriter;
using lazuli::put;
using lazuli::put_string;

// Parses bytes that live in a block of exactly their size, so that a sanitizer sees every read past the end.
inline GgufFile parse_gguf(std::string_view bytes, std::string name = "model.gguf") {
  auto owner = std::make_shared<std::vector<std::byte>>(bytes.size());
  owner->shrink_to_fit();
  if (!bytes.empty()) std::memcpy(owner->data(), bytes.data(), bytes.size());
  return GgufFile::parse(std::move(name), *owner, owner);
}

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) fail("{}: cannot write", path);
}

}  // namespace lazuli::test
