// SPDX-License-Identifier: MIT
#include <lazuli/graph/pictures/dot/styles.h>

namespace lazuli::dot {

const std::array<Style, kinds> styles = {{
    {"input", "#e3edf9", "#4a76a8", "shape=oval"},
    {"constant", "#f4f0e6", "#a39876", "shape=box style=\"filled\""},
    {"matmul, attention", "#fbe3c8", "#c47a2c", ""},
    {"elementwise", "#ffffff", "#9a9a9a", ""},
    {"reduction, norm", "#e8e2f4", "#7d68a8", ""},
    {"moves data", "#fdf6d2", "#b5a135", ""},
    {"view", "#ffffff", "#bdbdbd", "style=\"rounded,dashed\" penwidth=0.7 fontcolor=\"#8a8a8a\""},
    {"fused", "#d8efd5", "#3f8f45", "penwidth=2"},
    {"custom op", "#f9dfe6", "#b0506e", "penwidth=2"},
    {"control flow", "#dcecec", "#3d8080", "penwidth=2 peripheries=2"},
}};

Kind kind_of(Op op) {
  static constexpr Kind pictures[] = {
#define LAZULI_OP(name, min, max, attrs, shape, flags, rows, cost, picture, ...) Kind::picture,
#include <lazuli/graph/ops.def>
  };
  return pictures[static_cast<std::size_t>(op)];
}

}  // namespace lazuli::dot
