// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/tests/fuzz/graphs/generator.h>
#include <lazuli/tests/fuzz/graphs/grow.h>

namespace lazuli::fuzz {

std::span<const Grower> growers() {
  static constexpr Grower all[] = {
#define LAZULI_OP(name, min, max, attrs, shape, ...) {Op::name, grow::shape},
#include <lazuli/graph/ops.def>
  };
  return all;
}

namespace {

enum Purpose : std::uint64_t { structure, sizes, values };

// How often an op is tried, against the others.
int weight_of(const OpInfo& op) {
  if (op.has(op_flags::leaf)) return 2;
  if (op.has(op_flags::view)) return 10;
  if (op.has(op_flags::elementwise)) return 3;
  if (is_control_flow(op.op)) return 8;
  if (op.has(op_flags::reduction) || op.has(op_flags::product)) return 6;
  return 4;
}

const std::vector<Op>& weighted_ops() {
  static const std::vector<Op> list = [] {
    std::vector<Op> ops;
    for (const OpInfo& op : all_ops()) ops.insert(ops.end(), static_cast<std::size_t>(weight_of(op)), op.op);
    return ops;
  }();
  return list;
}

void grow_nodes(Builder& builder, int nodes, std::optional<Op> only) {
  for (int i = 0; i < nodes; ++i) {
    const bool motif = builder.choice.chance(14), chosen = builder.choice.chance(50);
    const Op op = builder.choice.of(weighted_ops());
    if (only && (chosen || i == 0))
      growers()[static_cast<std::size_t>(*only)].grow(builder, *only);
    else if (motif)
      grow_motif(builder);
    else
      growers()[static_cast<std::size_t>(op)].grow(builder, op);
  }
}

// The same choices again and again, under the names of layers.
void grow_layers(Builder& builder, std::optional<Op> only) {
  const int layers = 2 + builder.choice.below(2), nodes = 2 + builder.choice.below(4);
  const Random same = builder.choice;
  for (int layer = 0; layer < layers; ++layer) {
    builder.choice = same;
    builder.scope(std::make_shared<const std::string>(fmt::format("layers.{}", layer)));
    grow_nodes(builder, nodes, only);
  }
  builder.scope(nullptr);
}

}  // namespace

Random family_stream(const Place& place, std::uint64_t purpose) {
  return {place.seed, place.family() * 2 + 1, purpose};
}
Random stream(const Place& place, std::uint64_t purpose) { return {place.seed, place.index * 2, purpose}; }

RandomGraph generate(const Place& place) {
  const bool other_sizes = place.index % family_size >= family_size - 2;
  Builder builder({family_stream(place, structure), other_sizes ? stream(place, sizes) : family_stream(place, sizes),
                   stream(place, values)},
                  family_stream(place, 99).chance(4) ? std::int64_t{1} << 17 : 4096);
  constexpr int counts[] = {1, 2, 2, 3, 3, 4, 5, 6, 8, 14};
  const int nodes = builder.choice.of(counts);
  builder.offer(builder.viewed_leaf({builder.dtype(is_plain), builder.shape(1)}));
  if (builder.choice.chance(8))
    grow_layers(builder, place.only);
  else
    grow_nodes(builder, nodes, place.only);
  constexpr Phase phases[] = {Phase::any, Phase::any, Phase::any, Phase::prefill, Phase::decode};
  builder.graph().phase = builder.choice.of(phases);
  const int most_outputs = builder.choice.chance(30) ? 1 : 5;
  return builder.finish(most_outputs);
}

}  // namespace lazuli::fuzz
