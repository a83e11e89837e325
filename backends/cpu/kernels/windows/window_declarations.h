// SPDX-License-Identifier: MIT
// Every kernel of windows.def, declared; included by the units that define them and by the registry.
#pragma once

#include <lazuli/backends/cpu/kernels/windows/window_views.h>

namespace lazuli {

#define LAZULI_WINDOWS(isa)                      \
  void depthwise_##isa(const DepthwiseRow& row); \
  void max_pool_##isa(const PoolWindow& window); \
  void mean_pool_##isa(const PoolWindow& window);
#include <lazuli/backends/cpu/kernels/windows/windows.def>

}  // namespace lazuli
