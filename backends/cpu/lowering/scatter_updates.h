// SPDX-License-Identifier: MIT
// What a scatter does to the elements it writes to.
#pragma once

#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lazuli::cpu {

// to[i] = reduction(to[i], from[i]) for i < count, rounded to the dtype once each.
using Apply = void (*)(std::byte* to, const std::byte* from, std::int64_t count);

// By the name of ScatterAttrs.
Apply apply_of(std::string_view reduction, DType dtype);

}  // namespace lazuli::cpu
