// SPDX-License-Identifier: MIT
// Conversion between f32 and the storage types of weights: the blocks of graph/dtype.def and the plain real types.
//
// Layouts and formulas of the GGUF types are those of ggml-common.h and gguf-py's quants.py, the others' are stated in
// graph/dtype.def. Every multiplication and addition is one f32 rounding, in the order written there, so that
// dequantised weights are the same bits everywhere.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>

namespace lazuli {

// Writes `elements` values to `out`. `blocks` holds byte_size(dtype, elements) bytes and need not be aligned.
// Works for every real and quantised type. Throws Error for other types and for a count that is no multiple of the
// block.
void dequantise(DType dtype, const std::byte* blocks, std::int64_t elements, float* out);

// The reverse: writes byte_size(dtype, elements) bytes to `out`, which need not be aligned. A block that holds an
// infinity or NaN, or whose scale its type cannot hold, becomes NaN; nvfp4 has none and takes NaN for 0 and what is
// beyond 2688 for that. Encoding what q8_0 blocks stand for gives the same blocks again. Works for the real types, the
// GGUF types except mxfp4, and the affine types; throws as above. The 32-element types round as ggml's reference
// quantisers do, nvfp4 (whose scales end at 448) and the affine types (whose scales and biases are numbers of bf16) as
// MLX's; the k-types take each sub-block's range as its scale, without ggml's search for a better one.
bool has_quantiser(DType dtype);
void quantise(DType dtype, const float* values, std::int64_t elements, std::byte* out);

}  // namespace lazuli
