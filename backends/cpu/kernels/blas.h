// SPDX-License-Identifier: MIT
// f32 matrix products by OpenBLAS, which is loaded on first use: it starts threads and reads its environment in its
// library constructor, so a program that were linked with it would pay for both before main.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace lazuli {

// How the right operand of C = A B lies in memory.
enum class RightOperand : std::uint8_t {
  rows_are_columns_of_c,  // [N, K], as a linear layer keeps its weight: C = A B^T
  rows_are_inner,         // [K, N]: C = A B
};

// C[M, N] = A[M, K] B, row-major. Leading dimensions are the distances between rows, in elements: lda >= k, ldc >= n,
// ldb >= k or n after the layout of B. With k = 0, C becomes zero.
struct Sgemm {
  RightOperand layout = RightOperand::rows_are_columns_of_c;
  std::int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  std::int64_t lda = 0;
  const float* b = nullptr;
  std::int64_t ldb = 0;
  float* c = nullptr;
  std::int64_t ldc = 0;
};

// Runs on the calling thread alone; any number of threads may call it at once. Throws Error if OpenBLAS cannot be
// loaded, a size is negative, a leading dimension too small, or either beyond 2^31 - 1.
void sgemm(const Sgemm& product);

// How many tiles are worth a call each when C is [M, N]: from its sizes alone, at least 1.
int sgemm_tiles(std::int64_t m, std::int64_t n);

// Tile `tile` of `tiles` of C: a range of columns, or of rows where M is the larger, with borders on multiples of 16.
// May be empty.
Sgemm sgemm_tile(const Sgemm& product, int tile, int tiles);

// For `lazuli info`, and to fail early: loads the library if it is not loaded yet.
struct BlasInfo {
  std::string library;  // the file name it was found by
  std::string config;   // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
  std::string core;     // the kernels in use: "SkylakeX", "Haswell"
};
BlasInfo blas_info();

// The functions of a loaded library; they stay valid, it is never unloaded.
struct BlasLibrary {
  using CblasSgemm = void (*)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float* a,
                              int lda, const float* b, int ldb, float beta, float* c, int ldc);
  CblasSgemm sgemm = nullptr;
  void (*set_threads)(int) = nullptr;
  char* (*config)() = nullptr;
  char* (*core)() = nullptr;
  const char* file = nullptr;
};
// Loads the first of `files` that is there. While it loads, OPENBLAS_NUM_THREADS is 1, and OPENBLAS_CORETYPE, unless
// the user has set it, names the widest kernels this CPU runs (0.3.21 takes newer CPUs for Haswell, at half the speed).
// Not safe beside threads that use the environment. Throws Error, naming what was tried and the package to install.
BlasLibrary load_blas(std::span<const char* const> files);

}  // namespace lazuli
