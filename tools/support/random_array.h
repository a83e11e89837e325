// SPDX-License-Identifier: MIT
// Memory of any type full of random values.
#pragma once

#include <lazuli/graph/buffer.h>
#include <lazuli/graph/types/shape.h>

#include <cstdint>

namespace lazuli::tool {

struct ValueRange {
  double low = 0, high = 0;  // [low, high), or low where they are equal
};

// A function of `seed` and the place. Integers and booleans are rounded down. Quantised types that have no quantiser
// hold zeros.
BufferRef random_buffer(const Type& type, ValueRange range, std::int64_t seed);

}  // namespace lazuli::tool
