// SPDX-License-Identifier: MIT
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/linear/matmul_f64_tiles.h>

namespace lazuli {
namespace {

struct EightLanes {
  static constexpr int count = 8;
  using Vector = __m512d;
  static Vector load(const double* from) { return _mm512_loadu_pd(from); }
  static void store(double* to, Vector value) { _mm512_storeu_pd(to, value); }
  static Vector splat(double value) { return _mm512_set1_pd(value); }
  static Vector add_product(Vector sum, Vector a, Vector b) { return _mm512_fmadd_pd(a, b, sum); }
};

}  // namespace

void matmul_f64_avx512(const MatmulF64& product) { multiply_matrices<EightLanes>(product); }

}  // namespace lazuli
