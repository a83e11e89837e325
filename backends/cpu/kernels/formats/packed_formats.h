// SPDX-License-Identifier: MIT
// How blocks of a file are laid into the planes of packed_planes.h, one row of a group at a time:
// FileBlock<type>::pack. Source of the file layouts: the GGUF specification, ggml-common.h.
//
// For units compiled for the baseline only: this is inline code.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/packed_values.h>
#include <lazuli/graph/types/dtype.h>

#include <cstdint>
#include <cstring>

namespace lazuli::packed {

inline void store32(std::uint8_t* bytes, std::uint32_t word) { std::memcpy(bytes, &word, sizeof(word)); }

inline void copy16(std::uint8_t* to, int index, const std::uint8_t* from) { std::memcpy(to + 2 * index, from, 2); }

// One row's place in a block of a group.
struct BlockTarget {
  const PackedWeightView& weight;
  std::uint8_t* quants;
  std::uint8_t* scales;
  std::uint8_t* super;
  int lane;
};

// Stores the nibbles `low(v)` and `high(v)` (four in the low halves of the bytes of a word) of quads v and v + 4.
template <class Low, class High>
void store_nibbles(const BlockTarget& to, Low low, High high) {
  for (int v = 0; v < 4; ++v) store32(to.quants + 64 * v + 4 * to.lane, low(v) | high(v) << 4);
}

// `bits` of quad q go to its mask among those at `offset`; the target is zero before.
inline void store_single_bits(const BlockTarget& to, int offset, int quad, std::uint32_t bits) {
  std::uint8_t* mask = to.quants + offset + 8 * quad + to.lane / 2;
  *mask = static_cast<std::uint8_t>(*mask | bits << (to.lane % 2 * 4));
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

// Four bytes of 0 or 1 to four bits.
inline std::uint32_t gather_bits(std::uint32_t bytes) { return (bytes | bytes >> 7 | bytes >> 14 | bytes >> 21) & 15; }

// pack(block, part, to) lays a block of the file, or the part of it that is block `part` of 32 columns, into `to`;
// where the file's blocks are shorter, block is one of those and `part` says which.
template <DType>
struct FileBlock;

// Types whose file blocks have 32 columns: f16 d, f16 m (where `minimums`), u32 fifth bits (where `five_bits`),
// nibbles.
template <bool five_bits, bool has_minimums>
struct SimpleBlock {
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
};

template <>
struct FileBlock<DType::q4_0> : SimpleBlock<false, false> {};
template <>
struct FileBlock<DType::q4_1> : SimpleBlock<false, true> {};
template <>
struct FileBlock<DType::q5_0> : SimpleBlock<true, false> {};
template <>
struct FileBlock<DType::q5_1> : SimpleBlock<true, true> {};

// File block: f16 d, 32 i8. Packed unsigned, 128 added.
template <>
struct FileBlock<DType::q8_0> {
  static void pack(const std::uint8_t* block, int, const BlockTarget& to) {
    copy16(to.scales, to.lane, block);
    for (int quad = 0; quad < 8; ++quad) {
      store32(to.quants + 64 * quad + 4 * to.lane, load32(block + 2 + 4 * quad) ^ 0x80808080u);
    }
  }
};

// File block: f16 d, f16 dmin, 12 bytes of 6-bit scales and minimums, (32 bytes of fifth bits,) 128 of nibbles.
// Packed: u8 scales and u8 minimums a block, f16 d and f16 dmin a super-block.
template <bool five_bits>
struct SuperBlock {
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
};

template <>
struct FileBlock<DType::q4_k> : SuperBlock<false> {};
template <>
struct FileBlock<DType::q5_k> : SuperBlock<true> {};

// File block: 128 bytes of nibbles, 64 of upper two bits, 16 i8 scales, f16 d.
// Packed: 16 i8 scales of the first halves, then of the second, a block; f16 d a super-block.
template <>
struct FileBlock<DType::q6_k> {
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
};

// File block: e8m0 scale, nibbles.
template <>
struct FileBlock<DType::mxfp4> {
  static void pack(const std::uint8_t* block, int, const BlockTarget& to) {
    to.scales[to.lane] = block[0];
    for (int v = 0; v < 4; ++v) std::memcpy(to.quants + 64 * v + 4 * to.lane, block + 1 + 4 * v, 4);
  }
};

// File block of 64 columns: 4 ue4m3 scales of 16 columns, then 4 times 8 bytes of nibbles (columns j and j + 8).
// Packed: 16 scales of the first halves, then of the second, a block; the file's 0x7f means zero and is stored so.
template <>
struct FileBlock<DType::nvfp4> {
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
};

}  // namespace lazuli::packed
