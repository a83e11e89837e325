// SPDX-License-Identifier: MIT
// Element types of arrays.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lazuli {

enum class LAZULI_API DType : std::uint8_t {
#define LAZULI_DTYPE(name, elements, bytes, kind) name,
#include <lazuli/graph/types/dtype.def>
#undef LAZULI_DTYPE
};

// `lazuli::f32` and friends, so that programs read `zeros({2, 3}, lz::f32)`.
#define LAZULI_DTYPE(name, elements, bytes, kind) inline constexpr DType name = DType::name;
#include <lazuli/graph/types/dtype.def>
#undef LAZULI_DTYPE

enum class LAZULI_API DTypeKind : std::uint8_t { real, integer, boolean, quantised };

struct LAZULI_API DTypeInfo {
  DType dtype;
  std::string_view name;  // as printed: "f32", "q4_k", "bool"
  int block_elements;
  int block_bytes;
  DTypeKind kind;
};

LAZULI_API std::span<const DTypeInfo> all_dtypes();
LAZULI_API const DTypeInfo& info(DType dtype);
LAZULI_API std::string_view to_string(DType dtype);
LAZULI_API std::optional<DType> parse_dtype(std::string_view name);

inline bool is_quantised(DType dtype) { return info(dtype).kind == DTypeKind::quantised; }
inline bool is_real(DType dtype) { return info(dtype).kind == DTypeKind::real; }
inline bool is_integer(DType dtype) { return info(dtype).kind == DTypeKind::integer; }
// Whether a double holds every value of the dtype.
inline bool fits_double(DType dtype) { return dtype != DType::i64 && dtype != DType::u64; }

// Bytes of `elements` values; `elements` is a multiple of the type's block.
inline std::int64_t byte_size(DType dtype, std::int64_t elements) {
  const DTypeInfo& type = info(dtype);
  return elements / type.block_elements * type.block_bytes;
}

}  // namespace lazuli
