// SPDX-License-Identifier: MIT
// Whether a step's work is enough to divide among threads, which then must meet before the next step. Splitting changes
// no bit, and all steps whose work could be too little ask here.
#pragma once

#include <cstdint>

namespace lazuli::cpu {

// Below these, a second thread costs more than it brings. Arithmetic weighs less than memory, as long as it is done in
// vectors; an element at a time counts as several operations.
inline constexpr std::int64_t min_split_bytes = 128 * 1024;
inline constexpr std::int64_t min_split_operations = 256 * 1024;
inline constexpr std::int64_t scalar_operations = 16;  // of an element that is computed by itself

// `bytes`: read and written.
inline bool worth_splitting(std::int64_t bytes, std::int64_t operations) {
  return bytes >= min_split_bytes || operations >= min_split_operations;
}

}  // namespace lazuli::cpu
