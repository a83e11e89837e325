// SPDX-License-Identifier: MIT
// What the caller of load_model may choose about how a model's graph is built.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>

namespace lazuli {

// How Gemma 3n's AltUp planes are written down: one array [P, T, H] and one op for all planes, or an array for each
// plane and primitives. The results agree within rounding.
enum class LAZULI_API AltupForm : std::uint8_t { stacked, split };

struct LAZULI_API ModelOptions {
  AltupForm altup = AltupForm::stacked;
};

}  // namespace lazuli
