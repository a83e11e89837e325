// SPDX-License-Identifier: MIT
// What a kernel launch is for, and the arithmetic it computes in.
#pragma once

#include <cstdint>

namespace lazuli {

// What a launch is there for; of several fused into one, the first of these that is among them.
enum class StepKind : std::uint8_t { matmul, attention, other };
// The arithmetic of a launch's matmuls; what the host can do at most differs.
enum class Arithmetic : std::uint8_t { f32, bf16, int8 };

}  // namespace lazuli
