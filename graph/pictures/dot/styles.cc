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
}};

Kind kind_of(Op op) {
  switch (op) {
    case Op::input:
      return Kind::input;
    case Op::fused:
      return Kind::fused;
    case Op::rope:
      return Kind::elementwise;
    case Op::matmul:
    case Op::linear:
    case Op::expert_linear:
    case Op::attention:
    case Op::altup_predict:
    case Op::altup_correct:
      return Kind::matrix;
    case Op::softmax:
    case Op::rms_norm:
    case Op::argmax:
    case Op::top_k:
      return Kind::reduction;
    default:
      break;
  }
  if (is_leaf(op)) return Kind::constant;
  if (is_view(op)) return Kind::view;
  if (is_elementwise(op)) return Kind::elementwise;
  return is_reduction(op) ? Kind::reduction : Kind::movement;
}

}  // namespace lazuli::dot
