// SPDX-License-Identifier: MIT
// Which dtypes ops take and give: graph/types/dtype_rules.def as data.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/op.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// The words of the list; see there.
enum class LAZULI_API DTypeClass : std::uint8_t {
  any,
  plain,
  number,
  real,
  real_32,
  integer,
  boolean,
  index,
  single,
  weight,
  cache,
  update,
  as_first,
  as_second,
  attribute,
  decoded,
  quantised
};
LAZULI_API std::string_view to_string(DTypeClass dtypes);

struct LAZULI_API DTypeRule {
  std::string_view shape_rule;
  std::vector<DTypeClass> operands, results;  // the last operand stands for all that follow

  DTypeClass operand(std::size_t position) const { return operands[std::min(position, operands.size() - 1)]; }
};

// Null for leaves whose types are declared, for `fused` and control flow, and for `custom`, whose object says its
// types.
LAZULI_API const DTypeRule* dtype_rule(Op op);

// What is wrong with operands, in words, and as data of an error.
struct LAZULI_API DTypeFault {
  std::string text, expected, found;
};
LAZULI_API std::optional<DTypeFault> dtype_fault(const DTypeRule& rule, std::span<const Type> operands);
// The dtype of a result whose rule is not `attribute`.
LAZULI_API DType result_dtype(DTypeClass result, std::span<const Type> operands);

}  // namespace lazuli
