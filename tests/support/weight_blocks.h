// SPDX-License-Identifier: MIT
// Weights of every type that has a packed form, for tests of packing and of the matmul kernels.
#pragma once

#include <lazuli/graph/types/dtype.h>
#include <lazuli/graph/types/half.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

namespace lazuli::test {

inline constexpr DType weight_types[] = {
    DType::f32,
    DType::f16,
    DType::bf16,
#define LAZULI_PACKED(type, codes, scales, offset) DType::type,
#define LAZULI_PACKED_REAL(type, codes, scales, offset) DType::type,
#include <lazuli/backends/cpu/kernels/formats/packed_formats.def>
};

// Blocks of random bits, every code of every field, or of one byte, whose f32, f16 and e8m0 scales are finite and not
// large and whose e4m3 codes are numbers.
inline std::vector<std::byte> random_blocks(DType dtype, std::int64_t elements, std::uint32_t seed,
                                            std::optional<std::byte> fill = std::nullopt) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(static_cast<std::size_t>(byte_size(dtype, elements)));
  for (std::byte& byte : bytes) byte = fill.value_or(static_cast<std::byte>(random()));
  std::uniform_real_distribution<float> scale(-0.01f, 0.01f);
  const auto put_f16 = [&](std::size_t at) {
    const std::uint16_t half = f32_to_f16(scale(random));
    std::memcpy(&bytes[at], &half, 2);
  };
  const auto put_f32 = [&](std::size_t at) {
    const float value = scale(random);
    std::memcpy(&bytes[at], &value, 4);
  };
  const auto block_bytes = static_cast<std::size_t>(info(dtype).block_bytes);
  for (std::size_t block = 0; block < bytes.size(); block += block_bytes) {
    switch (dtype) {
      case DType::f32:
      case DType::e2m1_16:
        put_f32(block);
        break;
      case DType::f16:
        put_f16(block);
        break;
      case DType::bf16: {
        const std::uint16_t value = f32_to_bf16(scale(random));
        std::memcpy(&bytes[block], &value, 2);
        break;
      }
      case DType::q4_1:
      case DType::q5_1:
      case DType::q4_k:
      case DType::q5_k:
        put_f16(block + 2);
        [[fallthrough]];
      case DType::q4_0:
      case DType::q5_0:
      case DType::q8_0:
        put_f16(block);
        break;
      case DType::q6_k:
        put_f16(block + 208);
        break;
      case DType::mxfp4:
        bytes[block] = static_cast<std::byte>(110 + random() % 16);
        break;
      case DType::mxfp8:
        for (std::size_t i = 1; i < block_bytes; ++i)
          if ((bytes[block + i] & std::byte{0x7f}) == std::byte{0x7f}) bytes[block + i] = std::byte{0x7e};
        bytes[block] = static_cast<std::byte>(110 + random() % 16);
        break;
      case DType::nvfp4:
        break;
      default:  // affine
        put_f32(block);
        put_f32(block + 4);
    }
  }
  return bytes;
}

}  // namespace lazuli::test
