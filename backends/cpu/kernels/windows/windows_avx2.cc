// SPDX-License-Identifier: MIT
// Windows over pixels, AVX2.
#include <immintrin.h>
#include <lazuli/backends/cpu/kernels/windows/eight_lanes.h>
#include <lazuli/backends/cpu/kernels/windows/window_declarations.h>

namespace lazuli {

LAZULI_DEFINE_WINDOWS(avx2, EightLanes, OneLane)

}  // namespace lazuli
