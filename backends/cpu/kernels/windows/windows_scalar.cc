// SPDX-License-Identifier: MIT
// Windows over pixels, for any CPU.
#include <lazuli/backends/cpu/kernels/windows/window_declarations.h>
#include <lazuli/backends/cpu/kernels/windows/window_rows.h>

namespace lazuli {

LAZULI_DEFINE_WINDOWS(scalar, OneLane)

}  // namespace lazuli
