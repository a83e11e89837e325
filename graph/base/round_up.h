// SPDX-License-Identifier: MIT
// The least multiple that is not below a value.
#pragma once

#include <type_traits>

namespace lazuli {

template <class Integer>
constexpr Integer round_up(Integer value, std::type_identity_t<Integer> multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace lazuli
