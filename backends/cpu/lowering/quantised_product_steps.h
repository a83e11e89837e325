// SPDX-License-Identifier: MIT
// Linears whose weight is quantised and no constant: made in the run itself, or given as an argument.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

// Each group of outputs is decoded to f32, packed and multiplied by all rows while it is in cache: no f32 copy of the
// weight exists, and the bits are those of the product with the dequantised weight. `y` is f32.
void add_quantised_product(ProgramBuilder& builder, std::int32_t id, const View& y);

}  // namespace lazuli::cpu
