// SPDX-License-Identifier: MIT
// What the CPU backend is told once, when a session makes it.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace lazuli {

// The arithmetic of matmuls with quantised weights. Activations are f32 either way.
enum class LAZULI_API Precision : std::uint8_t {
  fast,  // int8 activations in blocks of 32 against the quantised weights
  f32,   // weights dequantised to f32, OpenBLAS
};

LAZULI_API std::string_view to_string(Precision precision);
LAZULI_API std::optional<Precision> parse_precision(std::string_view name);

}  // namespace lazuli
