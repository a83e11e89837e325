// SPDX-License-Identifier: MIT
// The sizes of dtype.def as constants, for templates over types.
#pragma once

#include <lazuli/graph/types/dtype.h>

namespace lazuli {

constexpr int block_elements(DType dtype) {
  constexpr int sizes[] = {
#define LAZULI_DTYPE(name, elements, bytes, kind) elements,
#include <lazuli/graph/types/dtype.def>
#undef LAZULI_DTYPE
  };
  return sizes[static_cast<int>(dtype)];
}

constexpr int block_bytes(DType dtype) {
  constexpr int sizes[] = {
#define LAZULI_DTYPE(name, elements, bytes, kind) bytes,
#include <lazuli/graph/types/dtype.def>
#undef LAZULI_DTYPE
  };
  return sizes[static_cast<int>(dtype)];
}

}  // namespace lazuli
