// Scope paths with numbers in them, as layers have: "layers.3.mlp".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lazuli {

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
