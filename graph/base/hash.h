// SPDX-License-Identifier: MIT
// A hash whose values are kept in files and must not change.
#pragma once

#include <cstdint>
#include <string_view>

namespace lazuli {

inline constexpr std::uint64_t fnv1a_start = 0xcbf29ce484222325u;

// FNV-1a, 64 bits (Fowler, Noll and Vo), of what `hash` stands for followed by `bytes`.
inline std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = fnv1a_start) {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  return hash;
}

}  // namespace lazuli
