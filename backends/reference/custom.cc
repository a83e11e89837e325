// SPDX-License-Identifier: MIT
// Custom ops: their kernel, or their definition by other ops where they have none for the operands.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/custom_op_calls.h>

namespace lazuli::reference {

void custom(const Call& call) {
  const CustomOpRef& op = call.as<CustomAttrs>().op;
  std::vector<Type> types;
  for (const Tensor& operand : call.operands) types.push_back(*operand.type);
  if (!has_kernel(op, types)) {
    const std::optional<Graph> definition = custom_definition(op, types);
    if (!definition) fail("no kernel and no decomposition for these operands");
    return interpret(*definition, call.operands, call.results, {});
  }
  std::vector<CustomArray> operands, results;
  for (const Tensor& operand : call.operands) operands.push_back({operand.type, operand.data});
  for (const Tensor& result : call.results) results.push_back({result.type, result.data});
  const std::int64_t rows = custom_row_count(op, call.node.types);
  if (rows > 0) compute_custom(op, {operands, results, 0, rows});
}

}  // namespace lazuli::reference
