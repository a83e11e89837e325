// SPDX-License-Identifier: MIT
// The registry of the kernels for windows.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/kernels/windows/window_views.h>

namespace lazuli {

struct WindowKernels {
  Isa isa;
  const char *depthwise_name, *max_pool_name, *mean_pool_name;  // as printed in profiles: "depthwise_avx2"
  Depthwise depthwise;
  Pool max_pool, mean_pool;
};

// Of the best level up to `at_most`, which the host supports.
const WindowKernels& find_window_kernels(Isa at_most);

}  // namespace lazuli
