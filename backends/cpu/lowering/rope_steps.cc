// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/rows/rope.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/rope_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/graph/numbers.h>

#include <map>
#include <memory>
#include <tuple>

namespace lazuli::cpu {
namespace {

// What sines and cosines depend on.
struct Turns {
  ValueId positions, factors;
  Number base, scale;
  std::int64_t width, pairs;

  // Equal literals, or one number: two whose values are equal in this run differ.
  auto order() const {
    return std::tuple(positions, factors, base.value, base.slot, scale.value, scale.slot, width, pairs);
  }
  bool operator<(const Turns& other) const { return order() < other.order(); }
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
          attrs.base,
          attrs.scale,
          width,
          attrs.rotated_pairs == 0 ? width / 2 : attrs.rotated_pairs};
}

// The values of the numbers among them in one run.
struct TurnNumbers {
  double base = 1, scale = 1;
};

std::vector<float> frequencies_of(const Turns& turns, const TurnNumbers& numbers, const float* factors) {
  return make_inverse_frequencies(turns.width, numbers.base, numbers.scale, turns.pairs, factors);
}

TurnNumbers numbers_of(const Turns& turns, std::span<const double> values) {
  return {value_of(turns.base, values), value_of(turns.scale, values)};
}

// Computes rows of turns, by frequencies that are the same for all rows of a run.
Run run_known_turns(ProgramBuilder& builder, const Turns& turns, const View& positions, int target,
                    const BufferRef& factors) {
  const auto frequencies = std::make_shared<std::vector<float>>();
  builder.on_numbers([=](std::span<const double> values) {
    *frequencies = frequencies_of(turns, numbers_of(turns, values), factors ? factors->as<float>() : nullptr);
  });
  return [=, pairs = turns.pairs](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    rope_turns(memory.as<const std::int32_t>(positions), frequencies->data(), pairs,
               reinterpret_cast<float*>(memory.base(target)), begin, end);
  };
}

Run run_turns_by_factors(ProgramBuilder& builder, const Turns& turns, const View& positions, int target,
                         const View& factors) {
  const auto numbers = std::make_shared<TurnNumbers>();
  builder.on_numbers([=](std::span<const double> values) { *numbers = numbers_of(turns, values); });
  return [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const std::vector<float> frequencies = frequencies_of(turns, *numbers, memory.as<const float>(factors));
    rope_turns(memory.as<const std::int32_t>(positions), frequencies.data(), turns.pairs,
               reinterpret_cast<float*>(memory.base(target)), begin, end);
  };
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
  step.row_major = true;
  step.split = worth_splitting(step.bytes, rows * turns.pairs * turn_operations);
  step.run = known ? run_known_turns(builder, turns, positions, target,
                                     has_factors ? builder.graph().node(turns.factors).constant : nullptr)
                   : run_turns_by_factors(builder, turns, positions, target, factors);
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
