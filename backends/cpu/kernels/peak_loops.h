// SPDX-License-Identifier: MIT
// Every loop of peak_loops.def, declared; included by the units that define them and by the registry.
#pragma once

#include <cstdint>

namespace lazuli {

#define LAZULI_PEAK(arithmetic, isa, operations) void peak_##arithmetic##_##isa(std::int64_t rounds);
#include <lazuli/backends/cpu/kernels/peak_loops.def>

}  // namespace lazuli
