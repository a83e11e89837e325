// SPDX-License-Identifier: MIT
// A checkpoint that is to be written: what each of its files begins with, and where which tensor goes. Making a plan
// reads and writes nothing; write_tensors (synth.h) then makes the weights piece by piece.
#pragma once

#include <lazuli/graph/types/dtype.h>
#include <lazuli/models/synth/tensors.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::synth {

enum class Quantisation : std::uint8_t { bf16, q4_0, q8_0, q4_k_m, mlx4, mlx8, nvfp4 };
inline constexpr std::string_view quantisation_names[] = {"bf16", "q4_0", "q8_0", "q4_k_m", "mlx4", "mlx8", "nvfp4"};

bool fits_gguf(Quantisation quantisation);
bool fits_folder(Quantisation quantisation);

// A tensor in a file. Real and GGUF types are one run of bytes; an MLX weight, of type affine4_64, affine8_64 or nvfp4,
// is three: codes, scales, and biases where there are any. Offsets count from the start of the file.
struct PlacedTensor {
  Tensor tensor;
  DType dtype;
  std::uint64_t offset = 0;
  std::uint64_t scales_offset = 0, biases_offset = 0;  // 0: not apart
};

struct PlannedFile {
  std::string name;    // in the folder; empty for a checkpoint that is one file
  std::string header;  // the bytes at its start
  std::vector<PlacedTensor> tensors;
  std::uint64_t bytes = 0;  // of the whole file
};

// Throw an Error when the container does not hold the quantisation.
PlannedFile plan_gguf(const Architecture& architecture, Quantisation quantisation);
// config.json, the tokenizer's files, and safetensors: in shards with an index where they exceed `shard_bytes`.
std::vector<PlannedFile> plan_folder(const Architecture& architecture, Quantisation quantisation,
                                     std::uint64_t shard_bytes = std::uint64_t{4} << 30);

}  // namespace lazuli::synth
