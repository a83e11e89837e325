// SPDX-License-Identifier: MIT
// The walk of a matmul with block-quantised weights over many rows, for any vector type. Private to the
// instruction-set units; everything here has internal linkage.
//
// The bits of weights are put apart once for all rows: a batch of groups, a chunk of blocks at a time, becomes bytes
// and f32 scales in the second cache level. Tiles of rows meet them one after the other, with their activations in the
// first. Between chunks the sums of a tile lie in y, which many rows push out of the cache: they take longer chunks,
// whose unpacking takes longer in turn. Every element adds up its blocks in ascending order, whatever the batch, chunk
// and tile.
//
// Level has: tile_rows and tile_groups, the most of a tile; chunk_blocks, the most of a chunk; kind<Format>;
// offset<Format>, of the bytes that unpack<Format>(weight, group, block, to) makes; Prepared<rows>, the activations of
// a tile and a chunk; prepare<terms>(x, row, block, count, offset, to); and multiply<kind>(blocks, count, groups,
// prepared, sums), a tile.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/kernels/formats/packed_planes.h>

#include <cstdint>

namespace lazuli {
namespace {

constexpr int many_rows = 8;            // from here on unpacking pays
constexpr int unpacked_groups = 16;     // of a batch: they share the preparation of activations
constexpr int short_chunk_blocks = 20;  // at most
constexpr int long_chunk_rows = 32;     // from here on chunks are as long as the level's

// What a block adds to a sum.
enum class Terms : std::uint8_t {
  one,      // scale * dot
  minimum,  // scale * dot, then minimum * sum of activations
  halves,   // scale * dot of the first half, then of the second
};

constexpr Terms terms_of(const packed::Planes& planes) {
  if (planes.minimums) return Terms::minimum;
  return planes.halves == packed::Halves::joined ? Terms::one : Terms::halves;
}

// What tells the arithmetic of two formats apart, once their blocks are put apart.
struct Kind {
  Terms terms;
  int run;  // quads whose products a level adds in 16 bits, 0 where it adds in 32
};

// A block of a group: bytes by quads, and the factors of its terms, those of 16 outputs side by side.
template <Terms terms>
struct alignas(64) UnpackedBlock {
  std::uint8_t quads[8][64];
  float factors[terms == Terms::one ? 1 : 2][packed_group_rows];
};

// A batch and a chunk.
template <class Level, Terms terms>
struct Unpacked {
  int groups;
  int blocks;
  std::int64_t first_block;
  int offset;                                                         // of the bytes
  UnpackedBlock<terms> block[unpacked_groups * Level::chunk_blocks];  // [groups][blocks]
};

// Where the sums of a tile go.
struct TileSums {
  float* y;
  std::int64_t stride;
  std::int64_t outputs;  // that exist
  bool from_zero;        // or from what is in y
};

template <class Level, Kind kind, int rows>
void multiply_tile(const Unpacked<Level, kind.terms>& weights, const QuantisedRowsView& x, std::int64_t row,
                   TileSums sums) {
  typename Level::template Prepared<rows> prepared;
  Level::template prepare<kind.terms>(x, row, weights.first_block, weights.blocks, weights.offset, prepared);
  sums.y += row * sums.stride;
  for (int group = 0; group < weights.groups; group += Level::tile_groups) {
    const int groups = weights.groups - group < Level::tile_groups ? weights.groups - group : Level::tile_groups;
    Level::template multiply<kind>(weights.block + group * weights.blocks, weights.blocks, groups, prepared, sums);
    sums.y += groups * packed_group_rows;
    sums.outputs -= groups * packed_group_rows;
  }
}

template <class Level, Kind kind>
__attribute__((noinline)) void multiply_unpacked(const Unpacked<Level, kind.terms>& weights, const QuantisedRowsView& x,
                                                 std::int64_t row, std::int64_t row_end, const TileSums& sums) {
  constexpr int full = Level::tile_rows;
  // Two tiles of four rather than a full one and a thin one.
  for (; row_end - row >= full && row_end - row != 8; row += full)
    multiply_tile<Level, kind, full>(weights, x, row, sums);
  for (; row + 4 <= row_end; row += 4) multiply_tile<Level, kind, 4>(weights, x, row, sums);
  for (; row + 2 <= row_end; row += 2) multiply_tile<Level, kind, 2>(weights, x, row, sums);
  if (row < row_end) multiply_tile<Level, kind, 1>(weights, x, row, sums);
}

template <class Level, class Format>
void multiply_many_rows(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
                        std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                        std::int64_t y_stride) {
  constexpr Kind kind = Level::template kind<Format>;
  Unpacked<Level, kind.terms> unpacked;
  unpacked.offset = Level::template offset<Format>;
  const std::int64_t blocks = weight.cols / packed_block_columns;
  const std::int64_t most = row_end - row_begin < long_chunk_rows ? short_chunk_blocks : Level::chunk_blocks;
  // One chunk at least: without columns there are zeros to write.
  const std::int64_t chunks = blocks > most ? (blocks + most - 1) / most : 1;
  for (std::int64_t first = group_begin; first < group_end; first += unpacked_groups) {
    unpacked.groups = static_cast<int>(group_end - first < unpacked_groups ? group_end - first : unpacked_groups);
    const std::int64_t output = first * packed_group_rows;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      unpacked.first_block = blocks * chunk / chunks;
      unpacked.blocks = static_cast<int>(blocks * (chunk + 1) / chunks - unpacked.first_block);
      UnpackedBlock<kind.terms>* to = unpacked.block;
      for (int group = 0; group < unpacked.groups; ++group) {
        const std::uint8_t* from = weight.data + (first + group) * weight.group_bytes;
        for (int block = 0; block < unpacked.blocks; ++block)
          Level::template unpack<Format>(weight, from, unpacked.first_block + block, *to++);
      }
      const TileSums sums{y + output, y_stride, weight.rows - output, chunk == 0};
      multiply_unpacked<Level, kind>(unpacked, x, row_begin, row_end, sums);
    }
  }
}

}  // namespace
}  // namespace lazuli
