// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/attention/attention.h>
#include <lazuli/backends/cpu/lowering/attention_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/operations.h>

#include <algorithm>
#include <memory>

namespace lazuli::cpu {
namespace {

// The arrays and the shape of one attention node; its arguments are complete when addresses and length are known.
struct AttentionCall {
  View q, k, v, positions, length, target;
  AttentionArguments shape{};
  Extent rows_now, capacity_now;                             // of a run
  std::shared_ptr<float> scale = std::make_shared<float>();  // follows the number of each run
  int scratch = -1;
  std::int64_t scratch_floats = 0;  // of one worker

  bool is_sized() const { return rows_now.dimension >= 0 || capacity_now.dimension >= 0; }
  // The shape in a run: as that of arrays of its sizes.
  AttentionArguments shape_now(const Memory& memory) const {
    AttentionArguments now = shape;
    now.rows = memory.now(rows_now);
    now.capacity = now.length = memory.now(capacity_now);
    return now;
  }
  AttentionArguments at(const Memory& memory) const {
    AttentionArguments call = shape_now(memory);
    call.q = memory.as<const float>(q);
    call.k = memory.at(k);
    call.v = memory.at(v);
    call.out = memory.as<float>(target);
    call.positions = memory.as<const std::int32_t>(positions);
    call.length = *memory.as<const std::int32_t>(length);
    call.scale = *scale;
    return call;
  }
  float* scratch_of(const Memory& memory, int worker) const {
    return reinterpret_cast<float*>(memory.base(scratch)) + worker * scratch_floats;
  }
};

AttentionCall describe(ProgramBuilder& builder, std::int32_t id) {
  const auto& attrs = builder.node(id).as<AttentionAttrs>();
  AttentionCall call;
  call.q = contiguous_input(builder, id, 0);
  call.k = contiguous_input(builder, id, 1);
  call.v = contiguous_input(builder, id, 2);
  call.positions = contiguous_input(builder, id, 3);
  call.length = contiguous_input(builder, id, 4);
  call.target = builder.result_view(id);
  AttentionArguments& shape = call.shape;
  shape.rows = call.q.shape[0];
  shape.heads = call.q.shape[1];
  shape.width = call.q.shape[2];
  shape.capacity = call.k.shape[0];
  shape.kv_heads = call.k.shape[1];
  shape.window = attrs.window;
  builder.on_numbers([scale = call.scale, number = attrs.scale](std::span<const double> values) {
    *scale = static_cast<float>(value_of(number, values));
  });
  shape.q_stride = shape.out_stride = shape.heads * shape.width;
  shape.k_stride = shape.v_stride = shape.kv_heads * shape.width;
  shape.cache = attention_cache(call.k.dtype);
  shape.length = shape.capacity;
  call.rows_now = builder.extent(id, shape.rows);
  call.capacity_now = builder.extent(builder.type(builder.node(id).inputs[1]), shape.capacity);
  return call;
}

const AttentionKernel& choose_kernel(const ProgramBuilder& builder) {
  const bool rounds = builder.graph().phase == Phase::prefill && builder.tools().precision == Precision::fast;
  return *find_attention_kernel(builder.tools().isa, rounds ? AttentionUse::prompt : AttentionUse::any);
}

// Keys that no query of a run sees; none where the length is not known before the program runs.
std::function<Skipped(const Memory& memory)> unseen_keys(const ProgramBuilder& builder, std::int32_t id,
                                                         const AttentionCall& call) {
  const bool known_length = builder.buffer(call.length.buffer).kind == BufferKind::input;
  const std::int64_t bytes = byte_size(call.k.dtype, call.k.elements() + call.v.elements()),
                     operations = count_operations(builder.graph(), builder.node(id)), capacity = call.shape.capacity,
                     window = call.shape.window, rows = call.shape.rows;
  return [=, length = call.length](const Memory& memory) -> Skipped {
    if (!known_length || capacity == 0) return {};
    const std::int64_t longest = window > 0 ? std::min(capacity, window + rows - 1) : capacity;
    const std::int64_t unseen = capacity - std::clamp<std::int64_t>(*memory.as<const std::int32_t>(length), 0, longest);
    return {bytes / capacity * unseen, operations / capacity * unseen};
  };
}

// The step that reads keys and values, without its units and its run; `target` takes its results.
Step& add_attention_step(ProgramBuilder& builder, std::int32_t id, const AttentionKernel& kernel,
                         const AttentionCall& call, int target) {
  Step& step = builder.add_step(
      id, builder.node(id).name(), {kernel.name, kernel.isa},
      {call.q.buffer, call.k.buffer, call.v.buffer, call.positions.buffer, call.length.buffer}, {target, call.scratch});
  step.skipped = unseen_keys(builder, id, call);
  step.follows = true;
  step.bytes -= builder.buffer(call.scratch).bytes;  // it stays in the cache
  return step;
}

void add_whole_attention(ProgramBuilder& builder, std::int32_t id, const AttentionKernel& kernel,
                         const AttentionCall& call) {
  Step& step = add_attention_step(builder, id, kernel, call, call.target.buffer);
  step.arithmetic = kernel.use == AttentionUse::prompt ? Arithmetic::bf16 : Arithmetic::f32;
  step.units = attention_units(kernel, call.shape);
  if (call.is_sized())
    step.units_now = [=](const Memory& memory) { return attention_units(kernel, call.shape_now(memory)); };
  step.split = step.units > 1;
  step.run = [=, run = kernel.run](const Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    run(call.at(memory), begin, end, call.scratch_of(memory, worker));
  };
}

// In parts of the cache, which a second step combines.
void add_attention_in_parts(ProgramBuilder& builder, std::int32_t id, const AttentionKernel& kernel,
                            const AttentionCall& call) {
  const int partials = builder.add_scratch(attention_partial_floats(call.shape) * 4, fmt::format("%{} parts", id));
  Step& parts = add_attention_step(builder, id, kernel, call, partials);
  parts.units = attention_part_units(call.shape);
  if (call.is_sized())
    parts.units_now = [=](const Memory& memory) { return attention_part_units(call.shape_now(memory)); };
  parts.units_at_once = parts.units;  // a share goes through the positions once, with all heads it has
  parts.split = true;
  parts.run = [=, run = kernel.run_parts](const Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    run(call.at(memory), begin, end, reinterpret_cast<float*>(memory.base(partials)), call.scratch_of(memory, worker));
  };
  Step& combine =
      builder.add_step(id, "attention_combine", "attention_combine",
                       {partials, call.positions.buffer, call.length.buffer}, {call.target.buffer, partials});
  combine.units = call.shape.rows * call.shape.heads;
  combine.follows = true;
  if (call.is_sized())
    combine.units_now = [=](const Memory& memory) { return memory.now(call.rows_now) * call.shape.heads; };
  combine.split = combine.units > 1;
  combine.run = [=, run = kernel.combine](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    run(call.at(memory), begin, end, reinterpret_cast<float*>(memory.base(partials)));
  };
}

}  // namespace

void lower_attention(ProgramBuilder& builder, std::int32_t id) {
  AttentionCall call = describe(builder, id);
  const AttentionKernel& kernel = choose_kernel(builder);
  call.scratch_floats = static_cast<std::int64_t>((attention_scratch_floats(kernel, call.shape) + 15) / 16 * 16);
  call.scratch = builder.add_scratch(call.scratch_floats * 4 * builder.workers(), fmt::format("%{} scratch", id));
  if (call.q.elements() == 0) return;
  if (builder.graph().phase == Phase::decode)
    add_attention_in_parts(builder, id, kernel, call);
  else
    add_whole_attention(builder, id, kernel, call);
}

}  // namespace lazuli::cpu
