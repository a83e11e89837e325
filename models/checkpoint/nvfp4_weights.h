// SPDX-License-Identifier: MIT
// Weights in nvfp4, as ModelOpt, compressed-tensors and MLX store them: E2M1 codes, two a byte and the lower nibble
// first, an E4M3 scale for each 16 of them, and a factor for the tensor.
//
//   ModelOpt            weight u8 [out, in/2], weight_scale [out, in/16], weight_scale_2: code * scale * weight_scale_2
//   compressed-tensors  weight_packed, weight_scale, weight_global_scale:                 code * scale /
//   weight_global_scale
// (vllm, modelopt.py and compressed_tensors_w4a4_nvfp4.py)
#pragma once

#include <lazuli/models/checkpoint/mlx_weights.h>

#include <cstddef>
#include <functional>

namespace lazuli {

// The module's weight, combined when it is first read. Throws an Error when parts are missing or do not fit each other.
Array make_modelopt_weight(const ModuleTensors& module);

// The factor of a tensor, read when its weight is. Throws an Error when it is not positive and finite.
using TensorFactor = std::function<float()>;

// `codes` hold the bytes of rows of codes in words of any size, `scales` u8 [..., in/16]. Without a factor, and where
// rows are whole blocks of 64, the result is nvfp4. Otherwise it is e2m1_16, whose scales are f32: scale * factor
// seldom fits E4M3. Reading the weight throws an Error when a scale is not a number.
Array make_nvfp4_weight(const ModuleTensors& module, const Array& codes, const Array& scales, TensorFactor factor = {});

// The value of an array of one element. Throws an Error when it has more or is not f32.
TensorFactor scalar_factor(const ModuleTensors& module, const Array& factor);

// Reorders `count` codes of 4 bits: from two neighbours a byte to j and j + count / 2 in byte j.
void split_halves(const std::byte* neighbours, int count, std::byte* out);

}  // namespace lazuli
