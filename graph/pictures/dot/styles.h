// SPDX-License-Identifier: MIT
// Shapes and colours of nodes, by what they do.
#pragma once

#include <lazuli/graph/op.h>

#include <array>
#include <cstdint>

namespace lazuli::dot {

enum class Kind : std::uint8_t {
  input,
  constant,
  matrix,
  elementwise,
  reduction,
  movement,
  view,
  fused,
  custom,
  control
};

Kind kind_of(Op op);

struct Style {
  const char* name;  // in the legend
  const char* fill;
  const char* border;
  const char* more;  // DOT attributes besides
};

inline constexpr std::size_t kinds = 10;
// By Kind.
extern const std::array<Style, kinds> styles;

}  // namespace lazuli::dot
