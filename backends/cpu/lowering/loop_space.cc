// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/lowering/loop_space.h>

namespace lazuli::cpu {

LoopSpace make_loop_space(const Shape& shape, std::span<const View> operands, bool keep_last) {
  LoopSpace space;
  space.strides.resize(operands.size());
  std::vector<Dims> broadcast;
  for (const View& operand : operands) broadcast.push_back(broadcast_view(operand, shape).strides);

  auto append = [&](std::size_t axis) {
    space.sizes.push_back(shape[axis]);
    for (std::size_t i = 0; i < operands.size(); ++i) space.strides[i].push_back(broadcast[i][axis]);
  };
  auto mergeable = [&](std::size_t axis) {  // with the axis before it, which is the last one kept
    for (std::size_t i = 0; i < operands.size(); ++i)
      if (space.strides[i].back() != broadcast[i][axis] * shape[axis]) return false;
    return true;
  };
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const bool columns = keep_last && axis + 1 == shape.size();
    if (shape[axis] == 1 && !columns) continue;
    if (columns || space.sizes.empty() || !mergeable(axis)) {
      append(axis);
      continue;
    }
    space.sizes.back() *= shape[axis];
    for (std::size_t i = 0; i < operands.size(); ++i) space.strides[i].back() = broadcast[i][axis];
  }
  if (space.sizes.empty()) {
    space.sizes.push_back(1);
    for (Dims& strides : space.strides) strides.push_back(0);
  }
  if (space.sizes.back() == 1)
    for (Dims& strides : space.strides) strides.back() = 0;
  return space;
}

}  // namespace lazuli::cpu
