// SPDX-License-Identifier: MIT
#include <lazuli/graph/types/dtype.h>

namespace lazuli {
namespace {

constexpr std::string_view printed_name(std::string_view name) {
  return name == "bool_" ? std::string_view("bool") : name;
}

constexpr DTypeInfo table[] = {
#define LAZULI_DTYPE(name, elements, bytes, kind) {DType::name, printed_name(#name), elements, bytes, DTypeKind::kind},
#include <lazuli/graph/types/dtype.def>
#undef LAZULI_DTYPE
};

}  // namespace

std::span<const DTypeInfo> all_dtypes() { return table; }

const DTypeInfo& info(DType dtype) { return table[static_cast<std::size_t>(dtype)]; }

std::string_view to_string(DType dtype) { return info(dtype).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (const DTypeInfo& type : table)
    if (type.name == name) return type.dtype;
  return std::nullopt;
}

}  // namespace lazuli
