// SPDX-License-Identifier: MIT
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/linear/matmul_f64_tiles.h>

namespace lazuli {
namespace {

struct FourLanes {
  static constexpr int count = 4;
  using Vector = __m256d;
  static Vector load(const double* from) { return _mm256_loadu_pd(from); }
  static void store(double* to, Vector value) { _mm256_storeu_pd(to, value); }
  static Vector splat(double value) { return _mm256_set1_pd(value); }
  static Vector add_product(Vector sum, Vector a, Vector b) { return _mm256_fmadd_pd(a, b, sum); }
};

}  // namespace

void matmul_f64_avx2(const MatmulF64& product) { multiply_matrices<FourLanes>(product); }

}  // namespace lazuli
