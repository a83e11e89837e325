// SPDX-License-Identifier: MIT
// Quantised modules of MLX checkpoints: weight (u32), scales, biases and global_scale become one array of a block type.
//
// Scales stand once per group of 16 to 128 elements along the last axis. Modes (mlx, ops.cpp: quantize, fp_quantize):
//   affine  any of 2, 3, 4, 5, 6, 8 bits in groups of 32, 64, 128; scale * code + bias
//   mxfp4   E2M1 codes in groups of 32, E8M0 scales;  mxfp8 the same with E4M3 codes
//   nvfp4   E2M1 codes in groups of 16, E4M3 scales, and optionally global_scale, the tensor's largest magnitude
#pragma once

#include <lazuli/graph/array.h>

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lazuli {

// One module as the checkpoint stores it.
struct ModuleTensors {
  std::string published;               // its name in the checkpoint, without the leaf: "model.layers.0.mlp.up_proj"
  std::string canonical;               // "blk.0.ffn_up"
  std::string file;                    // path of a file that holds it
  std::map<std::string, Array> parts;  // by leaf

  // For errors in its values, which are found long after the checkpoint was opened.
  std::string place() const { return file + ": module " + published; }
};

// The group size that `quantization` of config.json gives a module: its own entry's, or the default; 0 where nothing is
// said. Everything else follows from the parts' types and shapes.
std::int64_t mlx_group_size(const nlohmann::json& config, const std::string& module);

// The module's weight. Its data is combined when it is first read, exactly: no value changes. `group` is only needed
// for affine modules. Throws an Error when parts are missing or do not fit each other; reading the weight throws one,
// with the file's name, when a scale is not a number.
Array make_mlx_weight(const ModuleTensors& module, std::int64_t group);

// The memory of a constant.
BufferRef memory_of(const Array& constant);

}  // namespace lazuli
