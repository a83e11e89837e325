// SPDX-License-Identifier: MIT
// The loops of matmul_f64.h over one vector type. Internal linkage: each level's unit has its own.
#pragma once

#include <lazuli/backends/cpu/kernels/linear/matmul_f64.h>

namespace lazuli {
namespace {

// `Lanes` has count, Vector, load, store, splat and add_product(sum, a, b) = a b + sum, rounded once.
template <class Lanes, int rows, int vectors>
inline void multiply_tile(const MatmulF64& product, std::int64_t row, std::int64_t column) {
  typename Lanes::Vector sums[rows][vectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) sums[r][v] = Lanes::splat(0);
  for (std::int64_t k = 0; k < product.inner; ++k) {
    const double* w = product.w + k * product.w_stride + column;
    typename Lanes::Vector right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = Lanes::load(w + v * Lanes::count);
    for (int r = 0; r < rows; ++r) {
      const typename Lanes::Vector left = Lanes::splat(product.x[(row + r) * product.x_stride + k]);
      for (int v = 0; v < vectors; ++v) sums[r][v] = Lanes::add_product(sums[r][v], left, right[v]);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v)
      Lanes::store(product.y + (row + r) * product.y_stride + column + v * Lanes::count, sums[r][v]);
}

struct OneLane {
  static constexpr int count = 1;
  using Vector = double;
  static Vector load(const double* from) { return *from; }
  static void store(double* to, Vector value) { *to = value; }
  static Vector splat(double value) { return value; }
  static Vector add_product(Vector sum, Vector a, Vector b) { return __builtin_fma(a, b, sum); }
};

template <class Lanes, int rows>
inline void multiply_rows(const MatmulF64& product, std::int64_t row) {
  constexpr int vectors = 2;
  std::int64_t column = 0;
  for (; column + vectors * Lanes::count <= product.columns; column += vectors * Lanes::count)
    multiply_tile<Lanes, rows, vectors>(product, row, column);
  for (; column + Lanes::count <= product.columns; column += Lanes::count)
    multiply_tile<Lanes, rows, 1>(product, row, column);
  for (; column < product.columns; ++column) multiply_tile<OneLane, rows, 1>(product, row, column);
}

template <class Lanes>
inline void multiply_matrices(const MatmulF64& product) {
  constexpr int rows_at_once = 4;
  std::int64_t row = 0;
  for (; row + rows_at_once <= product.rows; row += rows_at_once) multiply_rows<Lanes, rows_at_once>(product, row);
  for (; row < product.rows; ++row) multiply_rows<Lanes, 1>(product, row);
}

}  // namespace
}  // namespace lazuli
