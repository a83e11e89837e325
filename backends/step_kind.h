// SPDX-License-Identifier: MIT
// What a kernel launch is for, and the arithmetic it computes in.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>

namespace lazuli {

// What a launch is there for; of several fused into one, the first of these that is among them.
enum class LAZULI_API StepKind : std::uint8_t { matmul, attention, other };
// The arithmetic of a launch's matmuls; what the host can do at most differs.
enum class LAZULI_API Arithmetic : std::uint8_t { f32, bf16, int8 };

}  // namespace lazuli
