// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/linear_choice.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>

namespace lazuli::cpu {
namespace {

// Weights of more outputs are vocabulary heads, which a prompt asks for on its last row alone: unpacking them for one
// row would take longer than the row. Decided by the weight, not by the rows at hand, so that chunks agree bit for bit.
constexpr std::int64_t max_panel_outputs = 64 * 1024;

const Type& weight_type(const ProgramBuilder& builder, std::int32_t id) {
  return builder.type(builder.node(id).inputs[1]);
}

}  // namespace

const LinearKernel* linear_kernel_of(const ProgramBuilder& builder, const Type& weight) {
  return find_linear_kernel(packed_dtype(weight.dtype, weight.shape.back()), builder.tools().isa);
}

bool is_packed_linear(const ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& linear = builder.node(id);
  return linear.op == Op::linear && builder.tools().precision == Precision::fast && linear.type().elements() > 0 &&
         linear.type().dtype != DType::f64 && builder.graph().node(linear.inputs[1]).op == Op::constant;
}

const PanelKernel* panel_kernel_of(const ProgramBuilder& builder, std::int32_t id) {
  const Type& weight = weight_type(builder, id);
  const bool many_rows = builder.graph().phase == Phase::prefill && weight.shape[0] <= max_panel_outputs;
  return many_rows && weight.shape[1] > 0
             ? find_panel_kernel(packed_dtype(weight.dtype, weight.shape[1]), builder.tools().isa)
             : nullptr;
}

bool is_narrow_linear(const ProgramBuilder& builder, std::int32_t id) {
  const std::int64_t outputs = weight_type(builder, id).shape[0], rows = builder.node(id).type().elements() / outputs;
  return panel_kernel_of(builder, id) ? outputs <= panel_sums_outputs && rows >= 4 * panel_sums_rows
                                      : outputs <= packed_group_rows && rows >= 4;
}

OperandForm operand_form(const ProgramBuilder& builder, std::int32_t id) {
  if (panel_kernel_of(builder, id)) return OperandForm::tiles;
  const LinearKernel* kernel = linear_kernel_of(builder, weight_type(builder, id));
  return kernel && kernel->multiply ? OperandForm::int8 : OperandForm::real;
}

}  // namespace lazuli::cpu
