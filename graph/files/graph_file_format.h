// SPDX-License-Identifier: MIT
// What writers and readers of graph files (graph_file.h) agree on.
#pragma once

#include <lazuli/graph/base/hash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lazuli::graph_file {

// The latest version; all up to it are read. Format 2 has named axes in types, as in f32[tokens<=512,64]: graphs that
// have one are written in it, all others in format 1, which earlier versions read where they know the ops.
inline constexpr int format = 2;
inline constexpr int format_without_names = 1;

// Of the metadata.
inline constexpr const char* format_key = "lazuli.format";
inline constexpr const char* graph_key = "lazuli.graph";
inline constexpr const char* constants_key = "lazuli.constants";
inline constexpr const char* donate_key = "lazuli.donate";

// Of an entry of lazuli.constants.
inline constexpr const char* tensor_field = "tensor";
inline constexpr const char* file_field = "file";
inline constexpr const char* offset_field = "offset";
inline constexpr const char* bytes_field = "bytes";
inline constexpr const char* file_bytes_field = "file_bytes";
inline constexpr const char* hash_field = "hash";

// Hashing a whole checkpoint would read it from disk at every load. Its ends tell a file that was made anew.
inline std::uint64_t hash_of_ends(std::span<const std::byte> bytes) {
  constexpr std::size_t end_bytes = 4096;
  const auto text = [](std::span<const std::byte> part) {
    return std::string_view(reinterpret_cast<const char*>(part.data()), part.size());
  };
  const std::size_t count = std::min(bytes.size(), end_bytes);
  return fnv1a(text(bytes.last(count)), fnv1a(text(bytes.first(count))));
}

}  // namespace lazuli::graph_file
