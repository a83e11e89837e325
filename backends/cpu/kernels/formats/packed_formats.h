// How blocks of a file are laid into the planes of packed_planes.h, one row of a group at a time, and read back.
//
// A weight is scale * value + minimum. All products are exact in f32 and the sum rounds once, so the order
// of evaluation does not matter. Source of the file layouts: the GGUF specification, ggml-common.h.
//
// For units compiled for the baseline only: this is inline code.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/kernels/formats/packed_planes.h>
#include <lazuli/graph/types/half.h>

#include <bit>
#include <cstdint>
#include <cstring>

namespace lazuli::packed {

struct BlockScale {
  float scale[2] = {};  // of the halves; equal unless Halves::separate
  float minimum = 0;
};

inline std::uint32_t load32(const std::uint8_t* bytes) {
  std::uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

inline void store32(std::uint8_t* bytes, std::uint32_t word) { std::memcpy(bytes, &word, sizeof(word)); }

inline float load_f16(const std::uint8_t* bytes, int index) {
  return f16_to_f32(static_cast<std::uint16_t>(bytes[2 * index] | bytes[2 * index + 1] << 8));
}

inline void copy16(std::uint8_t* to, int index, const std::uint8_t* from) { std::memcpy(to + 2 * index, from, 2); }

// One row's place in a block of a group.
struct BlockTarget {
  const PackedWeightView& weight;
  std::uint8_t* quants;
  std::uint8_t* scales;
  std::uint8_t* super;
  int lane;
};

struct BlockSource {
  const PackedWeightView& weight;
  const std::uint8_t* quants;
  const std::uint8_t* scales;
  const std::uint8_t* super;
  int lane;
};

// Stores the nibbles `low(v)` and `high(v)` (four in the low halves of the bytes of a word) of quads v and v + 4.
template <class Low, class High>
void store_nibbles(const BlockTarget& to, Low low, High high) {
  for (int v = 0; v < 4; ++v) store32(to.quants + 64 * v + 4 * to.lane, low(v) | high(v) << 4);
}

inline void load_nibbles(const BlockSource& from, int* values) {
  for (int v = 0; v < 4; ++v) {
    for (int c = 0; c < 4; ++c) {
      const int byte = from.quants[64 * v + 4 * from.lane + c];
      values[4 * v + c] = byte & 15;
      values[16 + 4 * v + c] = byte >> 4;
    }
  }
}

// `bits` of quad q go to its mask among those at `offset`; the target is zero before.
inline void store_single_bits(const BlockTarget& to, int offset, int quad, std::uint32_t bits) {
  std::uint8_t* mask = to.quants + offset + 8 * quad + to.lane / 2;
  *mask = static_cast<std::uint8_t>(*mask | bits << (to.lane % 2 * 4));
}

inline void load_single_bits(const BlockSource& from, int offset, int shift, int* values) {
  for (int quad = 0; quad < 8; ++quad) {
    const int bits = from.quants[offset + 8 * quad + from.lane / 2] >> (from.lane % 2 * 4);
    for (int c = 0; c < 4; ++c) values[4 * quad + c] |= (bits >> c & 1) << shift;
  }
}

// Stores pair(q), two bits in each byte of a word, of the eight quads into the two vectors at `offset`.
template <class Pair>
void store_pairs(const BlockTarget& to, int offset, Pair pair) {
  for (int half = 0; half < 2; ++half) {
    std::uint32_t word = 0;
    for (int v = 0; v < 4; ++v) word |= pair(4 * half + v) << (2 * v);
    store32(to.quants + offset + 64 * half + 4 * to.lane, word);
  }
}

inline void load_pairs(const BlockSource& from, int offset, int shift, int* values) {
  for (int column = 0; column < 32; ++column) {
    const int pairs = from.quants[offset + column / 16 * 64 + 4 * from.lane + column % 4];
    values[column] |= (pairs >> (column % 16 / 4 * 2) & 3) << shift;
  }
}

// Four bytes of 0 or 1 to four bits.
inline std::uint32_t gather_bits(std::uint32_t bytes) { return (bytes | bytes >> 7 | bytes >> 14 | bytes >> 21) & 15; }

// Types whose file blocks have 32 columns: f16 d, f16 m (where `minimums`), u32 fifth bits (where `five_bits`),
// nibbles.
template <bool five_bits, bool has_minimums>
struct Simple {
  static constexpr int columns = 32;  // of a file block
  static constexpr int file_bytes = 18 + 2 * has_minimums + 4 * five_bits;
  static constexpr Planes planes =
      five_bits ? (has_minimums ? q5_1_planes : q5_0_planes) : (has_minimums ? q4_1_planes : q4_0_planes);

  static void pack(const std::uint8_t* block, int, const BlockTarget& to) {
    copy16(to.scales, to.lane, block);
    if constexpr (has_minimums) copy16(to.scales + 32, to.lane, block + 2);
    const std::uint8_t* bits = block + (has_minimums ? 4 : 2);
    const std::uint8_t* nibbles = bits + (five_bits ? 4 : 0);
    for (int v = 0; v < 4; ++v) std::memcpy(to.quants + 64 * v + 4 * to.lane, nibbles + 4 * v, 4);
    if constexpr (five_bits) {
      for (int quad = 0; quad < 8; ++quad) store_single_bits(to, 256, quad, load32(bits) >> (4 * quad) & 15);
    }
  }
  static void values(const BlockSource& from, int* values) {
    load_nibbles(from, values);
    if constexpr (five_bits) load_single_bits(from, 256, 4, values);
    for (int column = 0; column < 32; ++column) values[column] -= planes.offset;
  }
  static BlockScale scale(const BlockSource& from) {
    const float d = load_f16(from.scales, from.lane);
    return {{d, d}, has_minimums ? load_f16(from.scales + 32, from.lane) : 0.0f};
  }
};

using Q4_0 = Simple<false, false>;
using Q4_1 = Simple<false, true>;
using Q5_0 = Simple<true, false>;
using Q5_1 = Simple<true, true>;

// File block: f16 d, 32 i8. Packed unsigned, 128 added.
struct Q8_0 {
  static constexpr int columns = 32;
  static constexpr int file_bytes = 34;
  static constexpr Planes planes = q8_0_planes;

  static void pack(const std::uint8_t* block, int, const BlockTarget& to) {
    copy16(to.scales, to.lane, block);
    for (int quad = 0; quad < 8; ++quad) {
      store32(to.quants + 64 * quad + 4 * to.lane, load32(block + 2 + 4 * quad) ^ 0x80808080u);
    }
  }
  static void values(const BlockSource& from, int* values) {
    for (int quad = 0; quad < 8; ++quad) {
      for (int c = 0; c < 4; ++c) values[4 * quad + c] = from.quants[64 * quad + 4 * from.lane + c] - 128;
    }
  }
  static BlockScale scale(const BlockSource& from) {
    const float d = load_f16(from.scales, from.lane);
    return {{d, d}};
  }
};

// File block: f16 d, f16 dmin, 12 bytes of 6-bit scales and minimums, (32 bytes of fifth bits,) 128 of nibbles.
// Packed: u8 scales and u8 minimums a block, f16 d and f16 dmin a super-block.
template <bool five_bits>
struct K45 {
  static constexpr int columns = 256;
  static constexpr int file_bytes = five_bits ? 176 : 144;
  static constexpr Planes planes = five_bits ? q5_k_planes : q4_k_planes;

  static void pack(const std::uint8_t* super_block, int block, const BlockTarget& to) {
    if (block == 0) {
      copy16(to.super, to.lane, super_block);
      copy16(to.super + 32, to.lane, super_block + 2);
    }
    const std::uint8_t* six = super_block + 4;
    const int scale = block < 4 ? six[block] & 63 : (six[block + 4] & 15) | six[block - 4] >> 6 << 4;
    const int minimum = block < 4 ? six[block + 4] & 63 : six[block + 4] >> 4 | six[block] >> 6 << 4;
    to.scales[to.lane] = static_cast<std::uint8_t>(scale);
    to.scales[16 + to.lane] = static_cast<std::uint8_t>(minimum);

    const std::uint8_t* nibbles = super_block + (five_bits ? 48 : 16) + block / 2 * 32;
    const int shift = block % 2 * 4;
    store_nibbles(
        to, [=](int v) { return load32(nibbles + 4 * v) >> shift & 0x0f0f0f0fu; },
        [=](int v) { return load32(nibbles + 16 + 4 * v) >> shift & 0x0f0f0f0fu; });
    if constexpr (five_bits) {
      const std::uint8_t* bits = super_block + 16;
      for (int quad = 0; quad < 8; ++quad) {
        store_single_bits(to, 256, quad, gather_bits(load32(bits + 4 * quad) >> block & 0x01010101u));
      }
    }
  }
  static void values(const BlockSource& from, int* values) {
    load_nibbles(from, values);
    if constexpr (five_bits) load_single_bits(from, 256, 4, values);
  }
  static BlockScale scale(const BlockSource& from) {
    const float d = load_f16(from.super, from.lane) * static_cast<float>(from.scales[from.lane]);
    const float m = load_f16(from.super + 32, from.lane) * static_cast<float>(from.scales[16 + from.lane]);
    return {{d, d}, -m};
  }
};

using Q4_K = K45<false>;
using Q5_K = K45<true>;

// File block: 128 bytes of nibbles, 64 of upper two bits, 16 i8 scales, f16 d.
// Packed: 16 i8 scales of the first halves, then of the second, a block; f16 d a super-block.
struct Q6_K {
  static constexpr int columns = 256;
  static constexpr int file_bytes = 210;
  static constexpr Planes planes = q6_k_planes;

  static void pack(const std::uint8_t* super_block, int block, const BlockTarget& to) {
    if (block == 0) copy16(to.super, to.lane, super_block + 208);
    to.scales[to.lane] = super_block[192 + 2 * block];
    to.scales[16 + to.lane] = super_block[192 + 2 * block + 1];

    const std::uint8_t* nibbles = super_block + block / 4 * 64 + block % 2 * 32;
    const int shift = block % 4 / 2 * 4;
    store_nibbles(
        to, [=](int v) { return load32(nibbles + 4 * v) >> shift & 0x0f0f0f0fu; },
        [=](int v) { return load32(nibbles + 16 + 4 * v) >> shift & 0x0f0f0f0fu; });
    const std::uint8_t* pairs = super_block + 128 + block / 4 * 32;
    const int pair_shift = block % 4 * 2;
    store_pairs(to, 256, [=](int quad) { return load32(pairs + 4 * quad) >> pair_shift & 0x03030303u; });
  }
  static void values(const BlockSource& from, int* values) {
    load_nibbles(from, values);
    load_pairs(from, 256, 4, values);
    for (int column = 0; column < 32; ++column) values[column] -= planes.offset;
  }
  static BlockScale scale(const BlockSource& from) {
    const float d = load_f16(from.super, from.lane);
    const auto first = static_cast<std::int8_t>(from.scales[from.lane]);
    const auto second = static_cast<std::int8_t>(from.scales[16 + from.lane]);
    return {{d * first, d * second}};
  }
};

// Twice the e2m1 values (OCP Microscaling Formats 1.0, table 5), so that they are integers; scales are halved.
inline constexpr int doubled_e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

inline void load_e2m1(const BlockSource& from, int* values) {
  load_nibbles(from, values);
  for (int column = 0; column < 32; ++column) values[column] = doubled_e2m1[values[column]];
}

// File block: e8m0 scale, nibbles. Half the scale is 2^(e - 128), subnormal for e < 2.
struct Mxfp4 {
  static constexpr int columns = 32;
  static constexpr int file_bytes = 17;
  static constexpr Planes planes = mxfp4_planes;

  static void pack(const std::uint8_t* block, int, const BlockTarget& to) {
    to.scales[to.lane] = block[0];
    for (int v = 0; v < 4; ++v) std::memcpy(to.quants + 64 * v + 4 * to.lane, block + 1 + 4 * v, 4);
  }
  static void values(const BlockSource& from, int* values) { load_e2m1(from, values); }
  static BlockScale scale(const BlockSource& from) {
    const std::uint32_t exponent = from.scales[from.lane];
    const float d = std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
    return {{d, d}};
  }
};

// File block of 64 columns: 4 ue4m3 scales of 16 columns, then 4 times 8 bytes of nibbles (columns j and j + 8).
// Packed: 16 scales of the first halves, then of the second, a block; the file's 0x7f means zero and is stored so.
struct Nvfp4 {
  static constexpr int columns = 64;
  static constexpr int file_bytes = 36;
  static constexpr Planes planes = nvfp4_planes;

  static void pack(const std::uint8_t* file_block, int block, const BlockTarget& to) {
    for (int half = 0; half < 2; ++half) {
      const std::uint8_t scale = file_block[2 * block + half];
      to.scales[16 * half + to.lane] = scale == 0x7f ? 0 : scale & 0x7f;
    }
    const std::uint8_t* first = file_block + 4 + 16 * block;
    const std::uint8_t* second = first + 8;
    store_nibbles(
        to, [=](int v) { return load32(first + v % 2 * 4) >> (v / 2 * 4) & 0x0f0f0f0fu; },
        [=](int v) { return load32(second + v % 2 * 4) >> (v / 2 * 4) & 0x0f0f0f0fu; });
  }
  static void values(const BlockSource& from, int* values) { load_e2m1(from, values); }
  // e4m3 shifted into f16 is too small by 2^8 (the biases are 7 and 15); half the scale is wanted.
  static float half_scale(std::uint8_t bits) { return f16_to_f32(static_cast<std::uint16_t>(bits << 7)) * 0x1p7f; }
  static BlockScale scale(const BlockSource& from) {
    return {{half_scale(from.scales[from.lane]), half_scale(from.scales[16 + from.lane])}};
  }
};

}  // namespace lazuli::packed
