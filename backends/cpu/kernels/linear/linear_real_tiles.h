// SPDX-License-Identifier: MIT
// Tiles of many rows for weights of the plain types, for any vector type. Private to the instruction-set units;
// everything here has internal linkage.
//
// An output has four sums, one for each column index modulo 4. They are made one after the other, in four passes over a
// chunk of columns whose activations stay in L1: a tile then needs one register an output vector and row, not four.
//
// V has: Register; vectors, of outputs in a tile; and the functions used below. Type says how V reads weights.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>

#include <cstdint>

namespace lazuli {
namespace {

constexpr std::int64_t real_chunk_columns = 256;

// The outputs of a tile: where each vector's weights of column 0 and first scales lie.
template <int vectors>
struct TileWeights {
  const std::uint8_t* weights[vectors];
  const std::uint8_t* scales[vectors];
};

// kept[r][v] += weights * values of the columns first, first + 4, ... before `end`. Fetches what lies `ahead` bytes
// behind those weights: four passes over every fourth line do not look to the hardware as if they went through memory.
template <class V, class Type, int rows>
inline __attribute__((always_inline)) void add_columns(const TileWeights<V::vectors>& tile, const float* values,
                                                       std::int64_t stride, std::int64_t first, std::int64_t end,
                                                       std::int64_t ahead,
                                                       typename V::Register (&kept)[rows][V::vectors]) {
  typename V::Register sum[rows][V::vectors];
#pragma GCC unroll 24
  for (int i = 0; i < rows * V::vectors; ++i)
    sum[i / V::vectors][i % V::vectors] = kept[i / V::vectors][i % V::vectors];
  for (std::int64_t column = first; column < end; column += 4) {
    typename V::Register weights[V::vectors];
#pragma GCC unroll 4
    for (int v = 0; v < V::vectors; ++v) {
      const std::uint8_t* const group = tile.weights[v] + column * packed_group_rows * Type::bytes;
      __builtin_prefetch(group + ahead);
      weights[v] = Type::load(group, Type::scale(tile.scales[v], column));
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const typename V::Register value = V::broadcast(values[r * stride + column]);
#pragma GCC unroll 4
      for (int v = 0; v < V::vectors; ++v) sum[r][v] = V::multiply_add(weights[v], value, sum[r][v]);
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < rows * V::vectors; ++i)
    kept[i / V::vectors][i % V::vectors] = sum[i / V::vectors][i % V::vectors];
}

// `next_tile`: bytes to the weights of the tile that meets memory next, of the first rows; 0 for other rows, which find
// theirs in cache.
template <class V, class Type, int rows>
inline __attribute__((always_inline)) void multiply_real_tile(const TileWeights<V::vectors>& tile, std::int64_t cols,
                                                              std::int64_t next_tile, const float* values,
                                                              std::int64_t stride,
                                                              typename V::Register (&total)[rows][V::vectors]) {
  typename V::Register sum[4][rows][V::vectors];
  for (int part = 0; part < 4; ++part)
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < V::vectors; ++v) sum[part][r][v] = V::broadcast(0.0f);
  for (std::int64_t first = 0; first < cols; first += real_chunk_columns) {
    constexpr std::int64_t column_bytes = packed_group_rows * Type::bytes;
    const bool last = cols - first <= real_chunk_columns;
    const std::int64_t end = last ? cols : first + real_chunk_columns;
    const std::int64_t ahead = next_tile == 0 ? 0
                               : last         ? next_tile - first * column_bytes
                                              : real_chunk_columns * column_bytes;
    for (int part = 0; part < 4; ++part)
      add_columns<V, Type, rows>(tile, values, stride, first + part, end, ahead, sum[part]);
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < V::vectors; ++v)
      total[r][v] = V::add(V::add(sum[0][r][v], sum[1][r][v]), V::add(sum[2][r][v], sum[3][r][v]));
  }
}

}  // namespace
}  // namespace lazuli
