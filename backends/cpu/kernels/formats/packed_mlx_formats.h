// SPDX-License-Identifier: MIT
// The packed forms of the block types that MLX, ModelOpt and compressed-tensors checkpoints become (graph/dtype.def),
// as in packed_formats.h.
//
// For units compiled for the baseline only: this is inline code.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/packed_formats.h>

#include <array>
#include <bit>

namespace lazuli::packed {

// The nearest ue5m3 code, for values of no more than four bits; others may come out next to it.
inline std::uint8_t f32_to_ue5m3(float value) { return static_cast<std::uint8_t>((f32_to_f16(value) + 0x40) >> 7); }

// Entry `index` (0..31) of an entry of the scale plane, of 4 bytes (f32) or 2 (bf16).
inline void store_scale(const BlockTarget& to, int index, float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (to.weight.scale_width == 4) {
    store32(to.scales + 4 * index, bits);
  } else {
    const auto upper = static_cast<std::uint16_t>(bits >> 16);
    std::memcpy(to.scales + 2 * index, &upper, 2);
  }
}

// File block: f32 scale, f32 bias, codes one after the other.
template <int bits, Codes kept_as>
struct AffineBlock {
  using Bits = CodeBits<kept_as>;

  // Four codes, one a byte.
  static std::uint32_t spread(std::uint32_t codes) {
    constexpr std::uint32_t mask = (1u << bits) - 1;
    return (codes & mask) | (codes >> bits & mask) << 8 | (codes >> 2 * bits & mask) << 16 |
           (codes >> 3 * bits & mask) << 24;
  }

  static void pack(const std::uint8_t* block, int part, const BlockTarget& to) {
    if (part == 0) {
      store_scale(to, to.lane, load_f32(block));
      store_scale(to, 16 + to.lane, load_f32(block + 4));
    }
    std::array<std::uint8_t, 4 * bits + 4> run{};  // 32 codes, and room to read words from any byte of them
    std::memcpy(run.data(), block + 8 + 4 * bits * part, 4 * bits);
    std::array<std::uint32_t, 8> quads;
    for (std::size_t quad = 0; quad < 8; ++quad) {
      const std::size_t bit = 4 * bits * quad;
      quads[quad] = bits == 8 ? load32(&run[bit / 8]) : spread(load32(&run[bit / 8]) >> bit % 8);
    }
    store_planes(quads, to);
  }

 private:
  static void store_planes(const std::array<std::uint32_t, 8>& quads, const BlockTarget& to) {
    if constexpr (bits == 8) {
      for (std::size_t quad = 0; quad < 8; ++quad) store32(to.quants + 64 * quad + 4 * to.lane, quads[quad]);
      return;
    }
    const auto take = [&](int quad, int shift, std::uint32_t mask) {
      return quads[static_cast<std::size_t>(quad)] >> shift & mask * 0x01010101u;
    };
    if constexpr (Bits::has_nibbles) {
      store_nibbles(to, [&](int v) { return take(v, 0, 15); }, [&](int v) { return take(v + 4, 0, 15); });
    }
    if constexpr (Bits::has_pairs) {
      store_pairs(to, Bits::pairs_at, [&](int quad) { return take(quad, Bits::pair_shift, 3); });
    }
    if constexpr (Bits::has_single_bits) {
      for (int quad = 0; quad < 8; ++quad) {
        store_single_bits(to, Bits::single_bits_at, quad, gather_bits(take(quad, Bits::single_bit, 1)));
      }
    }
  }
};

#define LAZULI_AFFINE(name, width, group) \
  template <>                             \
  struct FileBlock<DType::name> : AffineBlock<width, Codes::bits##width> {};
#include <lazuli/graph/types/affine.def>

// File block of 16 columns: f32 scale, nibbles, two neighbours a byte. Two of them make a block.
template <>
struct FileBlock<DType::e2m1_16> {
  static void pack(const std::uint8_t* file_block, int part, const BlockTarget& to) {
    const float half_scale = 0.5f * load_f32(file_block);
    const int index = 16 * part + to.lane;
    if (to.weight.scale_width == 1) {
      to.scales[index] = f32_to_ue5m3(half_scale / to.weight.factor);
    } else {
      store_scale(to, index, half_scale);
    }
    for (int v = 0; v < 4; ++v) {
      const std::uint32_t codes = file_block[4 + 2 * v] | static_cast<std::uint32_t>(file_block[5 + 2 * v]) << 8;
      std::uint32_t quad = (codes | codes << 8) & 0x00ff00ffu;
      quad = (quad | quad << 4) & 0x0f0f0f0fu;
      std::uint8_t* word = to.quants + 64 * v + 4 * to.lane;
      store32(word, part == 0 ? quad : load32(word) | quad << 4);
    }
  }
};

// File block: e8m0 scale, e4m3 codes. Packed column after column, the 16 rows of each side by side. A code shifted into
// f16 is too small by 2^8 (the biases are 7 and 15), which the packed exponent takes in; scales from 2^120 on become
// infinite. So does the scale of a block that holds a NaN, and the code 0: their product is a NaN again.
template <>
struct FileBlock<DType::mxfp8> {
  static void pack(const std::uint8_t* block, int, const BlockTarget& to) {
    int exponent = block[0] + 8 < 255 ? block[0] + 8 : 255;
    for (int column = 0; column < 32; ++column) {
      const std::uint8_t code = block[1 + column];
      const bool nan = (code & 0x7f) == 0x7f;
      if (nan) exponent = 255;
      to.quants[16 * column + to.lane] = nan ? 0 : code;
    }
    to.scales[to.lane] = static_cast<std::uint8_t>(exponent);
  }
};

}  // namespace lazuli::packed
