// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/rows/rope.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/rope_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <map>

namespace lazuli::cpu {
namespace {

// What sines and cosines depend on.
struct Turns {
  ValueId positions, factors;
  double base, scale;
  std::int64_t width, pairs;
  auto operator<=>(const Turns&) const = default;
};

constexpr std::int64_t turn_operations = 64;  // a sine and a cosine

struct RopeTurns {
  std::map<Turns, int> buffers;
};

Turns turns_of(const ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const auto& attrs = current.as<RopeAttrs>();
  const std::int64_t width = builder.type(current.inputs[0]).shape[2];
  return {current.inputs[1],
          current.inputs.size() == 3 ? current.inputs[2] : ValueId{},
          attrs.base.value,
          attrs.scale.value,
          width,
          attrs.rotated_pairs == 0 ? width / 2 : attrs.rotated_pairs};
}

// Computes rows of turns.
Run run_turns(const Turns& turns, const View& positions, int target, std::vector<float> frequencies) {
  return [=, pairs = turns.pairs, frequencies = std::move(frequencies)](const Memory& memory, std::int64_t begin,
                                                                        std::int64_t end, int) {
    rope_turns(memory.as<const std::int32_t>(positions), frequencies.data(), pairs,
               reinterpret_cast<float*>(memory.base(target)), begin, end);
  };
}

std::vector<float> frequencies_of(const Turns& turns, const float* factors) {
  return make_inverse_frequencies(turns.width, turns.base, turns.scale, turns.pairs, factors);
}

// The buffer of the turns of a rope node.
int rope_turns_of(ProgramBuilder& builder, std::int32_t id) {
  const Turns turns = turns_of(builder, id);
  const auto [entry, added] = builder.state<RopeTurns>().buffers.try_emplace(turns, -1);
  if (!added) return entry->second;
  const bool has_factors = builder.node(id).inputs.size() == 3;
  const View positions = contiguous_input(builder, id, 1);
  const View factors = has_factors ? contiguous_input(builder, id, 2) : View{};
  const std::int64_t rows = positions.elements();
  const int target = builder.add_scratch(rows * turns.pairs * 2 * 4, fmt::format("%{} turns", id));
  entry->second = target;
  const bool known = !has_factors || builder.graph().node(turns.factors).op == Op::constant;
  std::vector<int> reads{positions.buffer};
  if (!known) reads.push_back(factors.buffer);
  Step& step = builder.add_step(id, "rope_turns", "rope_turns", std::move(reads), {target});
  step.units = rows;
  step.split = worth_splitting(step.bytes, rows * turns.pairs * turn_operations);
  if (known) {
    const float* values = has_factors ? builder.graph().node(turns.factors).constant->as<float>() : nullptr;
    step.run = run_turns(turns, positions, target, frequencies_of(turns, values));
  } else {
    step.run = [=](Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
      run_turns(turns, positions, target, frequencies_of(turns, memory.as<const float>(factors)))(memory, begin, end,
                                                                                                  worker);
    };
  }
  return target;
}

}  // namespace

void lower_rope(ProgramBuilder& builder, std::int32_t id) {
  const View x = contiguous_input(builder, id, 0);
  const View target = builder.result_view(id);
  const std::int64_t rows = x.shape[0], heads = x.shape[1], width = x.shape[2];
  const std::int64_t pairs = turns_of(builder, id).pairs;
  const int turns = rope_turns_of(builder, id);
  Step& step = builder.add_step(id, builder.node(id).name(), "rope", {x.buffer, turns}, {target.buffer});
  step.units = rows;
  step.split = worth_splitting(2 * byte_size(x.dtype, x.elements()), 0);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const RopeArguments call{memory.as<const float>(x),
                             memory.as<float>(target),
                             heads,
                             width,
                             heads * width,
                             heads * width,
                             reinterpret_cast<const float*>(memory.base(turns)),
                             pairs};
    rope_rows(call, begin, end);
  };
  builder.divide_by_rows(step, {x, target}, {}, rows);
}

}  // namespace lazuli::cpu
