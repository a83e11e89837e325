// SPDX-License-Identifier: MIT
// What interpolation means in other ops.
#pragma once

#include <lazuli/graph/array.h>

namespace lazuli {

// x in f32, or of any plain dtype where the order is 0.
Array interpolate_by_parts(const Array& x, const InterpolateAttrs& attrs);

}  // namespace lazuli
