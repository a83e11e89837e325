// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/linear/matmul_f64_tiles.h>

namespace lazuli {

void matmul_f64_scalar(const MatmulF64& product) { multiply_matrices<OneLane>(product); }

namespace {

constexpr MatmulF64Kernel kernels[] = {
    {Isa::avx512, "matmul_f64_avx512", matmul_f64_avx512},
    {Isa::avx2, "matmul_f64_avx2", matmul_f64_avx2},
    {Isa::scalar, "matmul_f64_scalar", matmul_f64_scalar},
};

}  // namespace

const MatmulF64Kernel& find_matmul_f64_kernel(Isa at_most) {
  const MatmulF64Kernel* kernel = kernels;
  while (kernel->isa > at_most) ++kernel;
  return *kernel;
}

}  // namespace lazuli
