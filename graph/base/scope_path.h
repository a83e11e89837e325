// SPDX-License-Identifier: MIT
// Scope paths, "layers.3.mlp": a name and the number behind it are one level.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lazuli {

// Where the level that begins at `begin` ends: "layers.3.mlp" has levels that end at 8 and 12.
std::size_t level_end(std::string_view path, std::size_t begin);

// The levels that both paths begin with: "layers.3" of "layers.3.mlp" and "layers.3.attention"; "" of "layers.3" and
// "layers.30". It refers to `a`.
std::string_view common_path(std::string_view a, std::string_view b);

// Whether `inner` is the path `outer` or lies in it: "layers.3" holds "layers.3.mlp" but not "layers.30"; "" holds all.
bool holds_path(std::string_view outer, std::string_view inner);

// A scope path cut at its outermost level that has a number: "encoder.layers.3.mlp" is layer 3 of "encoder.layers".
struct NumberedScope {
  std::string_view layer;   // "encoder.layers.3"
  std::string_view family;  // "encoder.layers"
  std::int64_t index = 0;   // 3
  std::string_view inner;   // "mlp"; "" in the layer itself
};
// Empty for a path without numbers. The parts refer to `path`.
std::optional<NumberedScope> numbered_scope(std::string_view path);

// "0-4, 6, 8-10" of ascending numbers.
std::string index_ranges(std::span<const std::int64_t> indices);

}  // namespace lazuli
