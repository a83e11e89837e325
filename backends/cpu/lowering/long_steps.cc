// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/work_stealing.h>
#include <lazuli/backends/cpu/lowering/long_steps.h>
#include <lazuli/graph/base/round_up.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// Elementwise work from here on is taken over in grains of memory.
constexpr std::int64_t min_bytes = 1024 * 1024;

// Work that is calculation is taken over in equal parts of a worker's share, as many as keep the calls long.
constexpr std::int64_t grains_per_worker = 8;
constexpr std::int64_t min_grain_ns = 20'000;

// Of one core, cautiously: a step is hardly longer than it looks.
constexpr std::int64_t operations_per_ns = 100;

// 0: shares stay as they are. So do those of int8 and bf16, whose kernels prepare operands for as many outputs as they
// are called for.
std::int64_t grain_of_calculation(const Step& step, int workers) {
  if (step.arithmetic != Arithmetic::f32) return 0;
  const std::int64_t ns = step.operations / operations_per_ns;
  const std::int64_t most = std::min(ns / min_grain_ns, grains_per_worker * workers);
  if (most <= workers) return 0;
  const std::int64_t grain = round_up((step.units + most - 1) / most, step.units_at_once);
  // Too few to be shared out as evenly as the units are.
  return step.units / grain < 4 * workers ? 0 : grain;
}

}  // namespace

void let_long_steps_be_stolen(std::vector<Step>& steps, int workers) {
  for (Step& step : steps) {
    if (!step.split || step.control || step.grain != 0) continue;
    if (step.kind == StepKind::other && step.bytes >= min_bytes)
      step.grain = grain_of(step.units, step.bytes);
    else
      step.grain = grain_of_calculation(step, workers);
  }
}

}  // namespace lazuli::cpu
