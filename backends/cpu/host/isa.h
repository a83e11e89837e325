// SPDX-License-Identifier: MIT
// Instruction-set levels of the written kernels: what this host offers, what is in use, and why the rest is not.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// Ordered: a level includes all levels before it.
enum class LAZULI_API Isa : std::uint8_t {
  scalar,  // x86-64 baseline
  avx2,    // AVX2, FMA, F16C
  avx512,  // AVX-512 F, BW, DQ, VL, VNNI
  amx,     // avx512 with BF16, AMX tiles, AMX int8 and bf16
};

struct LAZULI_API IsaLevel {
  Isa isa;
  bool usable;
  std::string reason;  // what is missing; empty when usable
};

LAZULI_API std::string_view to_string(Isa isa);
LAZULI_API std::optional<Isa> parse_isa(std::string_view name);

// One entry a level, scalar first. The first call asks the kernel for permission to use AMX tiles where the CPU has
// them (arch_prctl), which holds for the rest of the process.
LAZULI_API const std::vector<IsaLevel>& isa_levels();
LAZULI_API bool supported(Isa isa);

// Throws Error when this host lacks the level; the text begins with `where` and says what is missing.
LAZULI_API void require_isa(Isa isa, std::string_view where);

// The level named by `choice`, or the best usable one when it is absent or empty. Throws as require_isa, and when the
// name is unknown.
LAZULI_API Isa choose_isa(std::optional<std::string_view> choice);

// choose_isa of the environment variable LAZULI_ISA.
LAZULI_API Isa selected_isa();

// Brand string of the CPU, without padding; "unknown x86-64 CPU" where CPUID has none.
LAZULI_API std::string cpu_name();

}  // namespace lazuli
