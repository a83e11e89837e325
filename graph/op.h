// SPDX-License-Identifier: MIT
// The op enum and what is known of each op, derived from ops.def.
#pragma once

#include <lazuli/graph/attrs.h>
#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace lazuli {

enum class LAZULI_API Op : std::uint8_t {
#define LAZULI_OP(name, ...) name,
#include <lazuli/graph/ops.def>
};

namespace op_flags {
inline constexpr unsigned none_flag = 0, leaf = 1, elementwise = 2, reduction = 4, view = 8, composite = 16,
                          commutative = 32, rowwise = 64, product = 128, indexed = 256;
}

enum class LAZULI_API RowRule : std::uint8_t {
  none,
  aligned,
  leading,
  positioned,
  planes,
  reshape,
  transpose,
  slice,
  concatenate
};

struct LAZULI_API OpInfo {
  Op op;
  std::string_view name;
  int min_operands, max_operands;
  unsigned flags;
  RowRule rows;
  int name_weight;          // in the names of generated loops
  std::size_t attrs_index;  // alternative of Attrs
  Attrs default_attrs;

  bool has(unsigned flag) const { return (flags & flag) != 0; }
};

LAZULI_API std::span<const OpInfo> all_ops();
LAZULI_API const OpInfo& info(Op op);
inline std::string_view to_string(Op op) { return info(op).name; }
inline bool is_elementwise(Op op) { return info(op).has(op_flags::elementwise); }
inline bool is_view(Op op) { return info(op).has(op_flags::view); }
inline bool is_leaf(Op op) { return info(op).has(op_flags::leaf); }
inline bool is_composite(Op op) { return info(op).has(op_flags::composite); }
inline bool is_reduction(Op op) { return info(op).has(op_flags::reduction); }
inline bool is_rowwise(Op op) { return info(op).has(op_flags::rowwise); }
inline bool is_product(Op op) { return info(op).has(op_flags::product); }
inline bool is_commutative(Op op) { return info(op).has(op_flags::commutative); }
LAZULI_API std::optional<Op> parse_op(std::string_view name);

// Checks operands and attributes and gives the result types. Throws an Error that starts with the op's name and shows
// what was found and what was expected. `declared` ops (input, constant, fused) are not inferred.
LAZULI_API std::vector<Type> infer_types(Op op, const Attrs& attrs, std::span<const Type> operands);

}  // namespace lazuli
