// SPDX-License-Identifier: MIT
// Shape rules of the ops that move windows over spatial axes. Operands are plain; errors name the op.
#pragma once

#include <lazuli/graph/op.h>

#include <span>
#include <vector>

namespace lazuli {

std::vector<Type> convolution_types(const ConvolutionAttrs& attrs, std::span<const Type> operands);
std::vector<Type> pool_types(Op op, const PoolAttrs& attrs, const Type& x);
std::vector<Type> adaptive_pool_types(Op op, const AdaptivePoolAttrs& attrs, const Type& x);
std::vector<Type> interpolate_types(const InterpolateAttrs& attrs, const Type& x);

}  // namespace lazuli
