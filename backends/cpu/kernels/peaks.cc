// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/peak_loops.h>
#include <lazuli/backends/cpu/kernels/peaks.h>

namespace lazuli {
namespace {

constexpr PeakLoop peak_table[] = {
#define LAZULI_PEAK(arithmetic, isa, operations) \
  {PeakArithmetic::arithmetic, Isa::isa, #arithmetic "_" #isa, peak_##arithmetic##_##isa, operations},
#include <lazuli/backends/cpu/kernels/peak_loops.def>
};

}  // namespace

std::span<const PeakLoop> peak_loops() { return peak_table; }

const PeakLoop* find_peak_loop(PeakArithmetic arithmetic, Isa at_most) {
  const PeakLoop* best = nullptr;
  for (const PeakLoop& loop : peak_table)
    if (loop.arithmetic == arithmetic && loop.isa <= at_most) best = &loop;
  return best;
}

}  // namespace lazuli
