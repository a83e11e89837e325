// SPDX-License-Identifier: MIT
// 16-bit reals as f32, for functions of several ops: what stands between operand and result needs the digits.
#pragma once

#include <lazuli/graph/ops/ops.h>

namespace lazuli {

inline Array widened(const Array& x) {
  return x.dtype() == DType::f16 || x.dtype() == DType::bf16 ? cast(x, DType::f32) : x;
}

}  // namespace lazuli
