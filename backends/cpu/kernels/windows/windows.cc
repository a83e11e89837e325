// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/windows/window_declarations.h>
#include <lazuli/backends/cpu/kernels/windows/windows.h>
#include <lazuli/graph/base/fail.h>

namespace lazuli {
namespace {

constexpr WindowKernels window_table[] = {
#define LAZULI_WINDOWS(isa) \
  {Isa::isa, "depthwise_" #isa, "max_pool_" #isa, "mean_pool_" #isa, depthwise_##isa, max_pool_##isa, mean_pool_##isa},
#include <lazuli/backends/cpu/kernels/windows/windows.def>
};

}  // namespace

const WindowKernels& find_window_kernels(Isa at_most) {
  for (const WindowKernels& kernels : window_table) {
    if (kernels.isa <= at_most) return kernels;
  }
  fail_internal("no kernels for windows at level {}", to_string(at_most));
}

}  // namespace lazuli
