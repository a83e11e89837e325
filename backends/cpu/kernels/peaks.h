// SPDX-License-Identifier: MIT
// How fast the CPU multiplies and adds at each instruction-set level, whatever our kernels reach.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>

#include <cstdint>
#include <span>

namespace lazuli {

enum class PeakArithmetic : std::uint8_t { f32, bf16, int8 };

// A loop on registers alone, for a host that supports `isa`. Every thread runs one of its own.
struct PeakLoop {
  PeakArithmetic arithmetic;
  Isa isa;
  const char* name;  // "int8_avx512"
  void (*run)(std::int64_t rounds);
  double operations;  // of a round: multiplications and additions
};

// Ascending by level.
std::span<const PeakLoop> peak_loops();

// The loop of the highest level up to `at_most`; null where those levels have no such arithmetic.
const PeakLoop* find_peak_loop(PeakArithmetic arithmetic, Isa at_most);

}  // namespace lazuli
