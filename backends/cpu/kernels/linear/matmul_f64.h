// SPDX-License-Identifier: MIT
// Products of f64 matrices. Every element is one chain of FMAs over the inner axis, from 0 in ascending order, at every
// level: the same bits, however the work is divided.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>

#include <cstdint>

namespace lazuli {

// y[r, c] = sum over k of x[r, k] w[k, c]; elements of a row lie side by side, strides go from row to row.
struct MatmulF64 {
  const double* x;
  const double* w;
  double* y;
  std::int64_t x_stride, w_stride, y_stride;
  std::int64_t rows, inner, columns;
};

struct MatmulF64Kernel {
  Isa isa;
  const char* name;
  void (*multiply)(const MatmulF64& product);
};

void matmul_f64_scalar(const MatmulF64& product);
void matmul_f64_avx2(const MatmulF64& product);
void matmul_f64_avx512(const MatmulF64& product);

// The best up to a level that the host supports.
const MatmulF64Kernel& find_matmul_f64_kernel(Isa at_most);

}  // namespace lazuli
