// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/custom_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/graph/custom_op_calls.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>
#include <array>
#include <memory>

namespace lazuli::cpu {
namespace {

struct Operand {
  View view;
  Type type;
};

// What a run needs to know of the node.
struct CustomCall {
  CustomOpRef op;
  std::vector<Operand> operands, results;
  std::string where;
  std::int64_t rows = 0;

  void compute(const Memory& memory, std::int64_t begin, std::int64_t end) const {
    std::array<CustomArray, max_custom_arrays> read, written;
    try {
      compute_custom(op, {arrays(memory, operands, read), arrays(memory, results, written), begin, end});
    } catch (const Error& error) {
      throw ExecutionError(fmt::format("{}: {}", where, error.what()));
    }
  }

 private:
  static std::span<const CustomArray> arrays(const Memory& memory, const std::vector<Operand>& of,
                                             std::span<CustomArray> into) {
    for (std::size_t i = 0; i < of.size(); ++i) into[i] = {&of[i].type, memory.at(of[i].view)};
    return into.first(of.size());
  }
};

std::int64_t rows_of(const Type& type) {
  return type.shape.empty() ? 1 : element_count({type.shape.begin(), type.shape.end() - 1});
}

// The buffers of which rows [begin, end) touch their own rows and nothing else. One operand may look at its own rows of
// a buffer, and another at all of it.
std::vector<int> own_buffers(const ProgramBuilder& builder, const CustomCall& call) {
  const bool aligned = call.op->rows() == RowRule::aligned;
  std::vector<int> own, others;
  for (std::size_t i = 0; i < call.operands.size(); ++i) {
    const auto& [view, type] = call.operands[i];
    const bool by_row = (aligned || i == 0) && rows_of(type) == call.rows && builder.is_whole(view);
    (by_row ? own : others).push_back(view.buffer);
  }
  for (const Operand& result : call.results) own.push_back(result.view.buffer);
  std::erase_if(own, [&](int buffer) { return std::ranges::count(others, buffer) > 0; });
  return own;
}

// Any number of equal parts that the rows divide into.
void divide(Step& step, const ProgramBuilder& builder, const std::shared_ptr<const CustomCall>& call) {
  const Shape& shape = call->results[0].type.shape;
  const auto first = std::find_if(shape.begin(), shape.end(), [](std::int64_t size) { return size > 1; });
  if (call->rows < 2 || first == shape.end()) return;
  step.rows = *first;
  step.by_rows = [call, own = own_buffers(builder, *call)](std::int64_t extent) -> std::optional<Division> {
    if (extent < 1 || call->rows % extent != 0) return std::nullopt;
    return Division{extent, 1, own,
                    [call, at_once = call->rows / extent](Memory& memory, std::int64_t begin, std::int64_t end, int) {
                      call->compute(memory, begin * at_once, end * at_once);
                    }};
  };
}

// Each once.
std::vector<int> buffers_of(const std::vector<Operand>& operands) {
  std::vector<int> buffers;
  for (const Operand& operand : operands)
    if (std::ranges::count(buffers, operand.view.buffer) == 0) buffers.push_back(operand.view.buffer);
  return buffers;
}

}  // namespace

void lower_custom(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  auto call = std::make_shared<CustomCall>();
  call->op = current.as<CustomAttrs>().op;
  if (!has_kernel(call->op, operand_types(builder.graph(), current)))
    builder.reject(id, "it has no kernel for these operands");
  call->where = fmt::format("{} (node %{}{})", current.name(), id, Scope::where(current.scope));
  call->rows = custom_row_count(call->op, current.types);
  for (std::size_t i = 0; i < current.inputs.size(); ++i)
    call->operands.push_back({contiguous_input(builder, id, i), builder.type(current.inputs[i])});
  for (std::size_t i = 0; i < current.types.size(); ++i)
    call->results.push_back({builder.result_view(id, static_cast<std::int32_t>(i)), current.types[i]});
  if (call->rows == 0) return;
  // What the kernel was compiled for is its author's business.
  Step& step = builder.add_step(id, current.name(), {std::string(current.name()), "custom"}, buffers_of(call->operands),
                                buffers_of(call->results));
  step.units = call->rows;
  step.split = step.units > 1 && worth_splitting(step.bytes, step.operations * scalar_operations);
  step.run = [call](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    call->compute(memory, begin, end);
  };
  divide(step, builder, call);
}

}  // namespace lazuli::cpu
