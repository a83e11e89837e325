// SPDX-License-Identifier: MIT
// Block-quantised arrays made of real ones, and back. Blocks run along the last axis (graph/types/dtype.def).
#pragma once

#include <lazuli/graph/array.h>

namespace lazuli {

// x of f32, f16 or bf16, whose last axis is whole blocks, encoded to a quantised dtype; a 16-bit x is read as the f32
// numbers it holds. GGUF's 32-element types round as ggml's reference quantisers do, nvfp4 and the affine types as
// mlx.core.quantize: affine4_64 is mode "affine" with 4 bits and groups of 64, its scales and biases in the blocks. The
// k-types take each sub-block's range as its scale. A block that holds an infinity or NaN, or whose scale the dtype
// cannot hold, becomes NaN; nvfp4, which has none, takes NaN for 0 and ends at 2688. Throws for dtypes that nothing is
// encoded to: the plain ones, mxfp4, mxfp8 and e2m1_16.
//
// Of a constant, the blocks are made once, when the graph is compiled: linear(x, quantise(w, q4_0)) runs the kernels of
// q4_0 then. A weight that is quantised in the run, or an argument, is decoded by linear, group by group, and
// multiplied in f32; expert_linear takes constants alone.
LAZULI_API Array quantise(const Array& x, DType dtype);

// The values of a quantised x as f32, of one rounding each multiplication and addition; of another real dtype, these
// cast to it.
LAZULI_API Array dequantise(const Array& x, DType dtype = DType::f32);

}  // namespace lazuli
