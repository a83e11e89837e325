// SPDX-License-Identifier: MIT
// What a configuration may ask for. No published model comes near; a damaged file that says more is refused before
// anything of that size is built.
#pragma once

#include <cstdint>

namespace lazuli {

inline constexpr std::int64_t max_layers = 4096;
inline constexpr std::int64_t max_size = std::int64_t{1} << 30;  // of widths, vocabularies, contexts

}  // namespace lazuli
