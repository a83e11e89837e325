// SPDX-License-Identifier: MIT
// Random graphs: whatever the passes make of them verifies and computes the same on the reference backend. Running the
// passes again changes nothing; row demand alone may find more, since a value is narrowed along one axis at a time.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/passes/pipeline.h>
#include <lazuli/tests/support/run_reference.h>

#include <random>

namespace lazuli {
namespace {

// Composites are computed in double by the reference and in f32 steps once they are spelled out inside a body.
constexpr double tolerance = 1e-3;

class RandomGraph {
 public:
  explicit RandomGraph(std::uint32_t seed) : random_(seed) {}

  Graph make(int ops) {
    for (int i = 0; i < 3; ++i) add_leaf(Op::input, {DType::f32, {4, 3, 8}});
    add_leaf(Op::input, {DType::f32, {3, 8}});
    add_leaf(Op::input, {DType::f32, {8}});
    add_leaf(Op::constant, {DType::f32, {8}});
    add_leaf(Op::constant, {DType::f32, {3, 16}});
    add_leaf(Op::constant, {DType::f32, {8, 8}});
    index_ = add_leaf(Op::input, {DType::i32, {}});
    indices_ = add_leaf(Op::input, {DType::i32, {2}});
    for (int i = 0; i < ops; ++i) add_random_op();
    const int outputs = 1 + pick(3);
    for (int i = 0; i < outputs; ++i)
      graph_.outputs.push_back(values_[values_.size() - 1 - static_cast<std::size_t>(pick(6))]);
    return remove_dead(std::move(graph_));
  }

 private:
  int pick(int count) { return static_cast<int>(random_() % static_cast<std::uint32_t>(count)); }
  bool chance(int percent) { return pick(100) < percent; }

  ValueId add_leaf(Op op, Type type) {
    GraphNode node;
    node.op = op;
    if (op == Op::input) node.attrs = InputAttrs{inputs_++};
    if (op == Op::constant)
      node.constant = test::random_buffer(type, static_cast<std::uint32_t>(graph_.nodes.size()), -1, 1);
    node.types = {std::move(type)};
    const ValueId value = graph_.add(std::move(node));
    if (graph_.type(value).dtype == DType::f32) values_.push_back(value);
    return value;
  }

  // Recent values more often, so that graphs grow deep.
  ValueId any() {
    const auto count = static_cast<int>(values_.size());
    const int recent = std::min(count, 4);
    return values_[static_cast<std::size_t>(chance(60) ? count - 1 - pick(recent) : pick(count))];
  }
  const Shape& shape(ValueId value) { return graph_.type(value).shape; }

  void add(Op op, Attrs attrs, std::vector<ValueId> inputs) {
    try {
      const ValueId value = add_node(graph_, op, std::move(attrs), std::move(inputs));
      graph_.nodes.back().from = {{value.node, op}};
      if (graph_.node(value).type().elements() <= 4096) values_.push_back(value);
    } catch (const Error&) {  // shapes that do not fit
    }
  }
  ValueId number(double value) { return add_node(graph_, Op::scalar, ScalarAttrs{value, DType::f32}, {}); }

  void add_random_op() {
    switch (pick(12)) {
      case 0:
      case 1:
        return add_unary();
      case 2:
      case 3:
      case 4:
        return add_binary();
      case 5:
        return add_reduction();
      case 6:
        return add_view();
      case 7:
        return add_selection();
      case 8:
        return add_product();
      case 9:
        return add_gate();
      case 10:
        return add_altup();
      // An epsilon this large keeps a norm of nearly equal numbers from magnifying their rounding.
      default:
        return add(Op::rms_norm, RmsNormAttrs{0.1}, {any()});
    }
  }

  void add_unary() {
    const Op ops[] = {Op::neg, Op::abs, Op::tanh, Op::sigmoid, Op::gelu_tanh, Op::sin};
    if (chance(10)) return add(Op::cast, CastAttrs{DType::f32}, {any()});
    if (chance(15)) return add(Op::softcap, SoftcapAttrs{3}, {any()});
    add(ops[pick(6)], NoAttrs{}, {any()});
  }
  void add_binary() {
    const Op ops[] = {Op::add, Op::sub, Op::mul, Op::maximum, Op::minimum};
    add(ops[pick(5)], NoAttrs{}, {any(), chance(20) ? number(pick(5) - 2) : any()});
  }
  void add_reduction() {
    const ValueId x = any();
    if (shape(x).empty()) return;
    const auto axis =
        chance(70) ? static_cast<std::int64_t>(shape(x).size()) - 1 : pick(static_cast<int>(shape(x).size()));
    const Op ops[] = {Op::sum, Op::mean, Op::max, Op::min};
    if (chance(20)) return add(Op::softmax, AxisAttrs{axis}, {x});
    add(ops[pick(4)], ReduceAttrs{{axis}, chance(70)}, {x});
  }
  void add_view() {
    const ValueId x = any();
    Shape sizes = shape(x);
    const auto rank = static_cast<int>(sizes.size());
    switch (pick(5)) {
      case 0:
        sizes.insert(sizes.begin() + pick(rank + 1), 1);
        return add(Op::reshape, ReshapeAttrs{sizes}, {x});
      case 1:
        return add(Op::reshape, ReshapeAttrs{without_some_ones(sizes)}, {x});
      case 2: {
        Dims permutation;
        for (int axis = 0; axis < rank; ++axis) permutation.insert(permutation.begin() + pick(axis + 1), axis);
        return add(Op::transpose, TransposeAttrs{permutation}, {x});
      }
      case 3:
        return add(Op::broadcast_to, ReshapeAttrs{{4, 3, 8}}, {x});
      default:
        return add(Op::concatenate, AxisAttrs{rank == 0 ? 0 : pick(rank)}, {x, chance(50) ? x : any()});
    }
  }
  Shape without_some_ones(const Shape& sizes) {
    Shape kept;
    for (std::int64_t size : sizes)
      if (size != 1 || chance(50)) kept.push_back(size);
    return kept;
  }
  void add_selection() {
    const ValueId x = any();
    if (shape(x).empty()) return;
    const int axis = pick(static_cast<int>(shape(x).size()));
    const auto at = static_cast<std::size_t>(axis);
    if (shape(x)[at] > 2 && chance(50)) return add(Op::take, AxisAttrs{axis}, {x, chance(50) ? index_ : indices_});
    SliceAttrs slice{Dims(shape(x).size(), 0), shape(x), Dims(shape(x).size(), 1)};
    slice.begin[at] = pick(static_cast<int>(shape(x)[at]));
    slice.step[at] = 1 + pick(2);
    if (chance(30)) {
      slice.begin[at] = shape(x)[at] - 1;
      slice.end[at] = -1;
      slice.step[at] = -slice.step[at];
    }
    add(Op::slice, slice, {x});
  }
  void add_product() {
    const ValueId weight = values_[7];  // constant [8, 8]
    if (chance(70)) return add(Op::linear, NoAttrs{}, {any(), weight});
    add(Op::matmul, NoAttrs{}, {any(), any()});
  }
  void add_gate() {
    const ValueId x = any(), cap = number(3);
    if (chance(40)) {
      add(Op::div, NoAttrs{}, {x, cap});
      add(Op::tanh, NoAttrs{}, {values_.back()});
      return add(Op::mul, NoAttrs{}, {values_.back(), chance(70) ? cap : number(2)});
    }
    add(chance(50) ? Op::gelu_tanh : Op::tanh, NoAttrs{}, {x});
    add(Op::mul, NoAttrs{}, {values_.back(), any()});
  }
  void add_altup() {
    const ValueId planes = any();
    if (chance(50)) return add(Op::altup_predict, AltupAttrs{}, {planes, values_[6]});
    add(Op::altup_correct, AltupAttrs{pick(4)}, {planes, any(), any()});
  }

  std::mt19937 random_;
  Graph graph_;
  std::vector<ValueId> values_;
  ValueId index_, indices_;
  std::int64_t inputs_ = 0;
};

std::vector<BufferRef> inputs_for(const Graph& graph, std::uint32_t seed) {
  std::vector<BufferRef> inputs;
  for (ValueId input : graph.inputs()) {
    const bool is_index = graph.type(input).dtype == DType::i32;
    inputs.push_back(test::random_buffer(graph.type(input), seed++, is_index ? 0 : -1, 1));
  }
  return inputs;
}

PassContext context_for(const FusionChoice& choice, bool lacks_composites) {
  PassContext context;
  context.enabled = [choice](std::string_view name) { return choice.enabled(name); };
  context.evaluate = [](const Graph& graph) { return test::run_reference(graph, {}); };
  context.supports = [lacks_composites](Op op, const Attrs&, std::span<const Type>) {
    return !lacks_composites || (op != Op::altup_predict && op != Op::altup_correct && op != Op::softmax);
  };
  return context;
}

class FuzzRewrite : public testing::TestWithParam<std::uint32_t> {};

TEST_P(FuzzRewrite, SameValuesWithAndWithoutPasses) {
  for (std::uint32_t i = 0; i < 50; ++i) {
    const std::uint32_t seed = GetParam() * 1000 + i;
    const Graph graph = RandomGraph(seed).make(30);
    const std::vector<BufferRef> inputs = inputs_for(graph, seed);
    const std::vector<BufferRef> expected = test::run_reference(graph, inputs);
    for (const char* text : {"all", "none", "primitive", "all,-row_demand", "none,+fuse_loops,-fold_views,-gelu_mul"}) {
      SCOPED_TRACE(fmt::format("seed {}, fusion {}\n{}", seed, text, to_text(graph)));
      PassContext context = context_for(FusionChoice::parse(text), seed % 2 == 0);
      const Graph result = run_pipeline(graph, context, {.verify = true, .after_pass = {}});
      const std::vector<BufferRef> actual = test::run_reference(result, inputs);
      for (std::size_t output = 0; output < expected.size(); ++output)
        ASSERT_LE(test::max_difference(graph.type(graph.outputs[output]), *expected[output], *actual[output]),
                  tolerance)
            << "output " << output << " of\n"
            << to_text(result);
      const Graph again = run_pipeline(result, context, {.verify = true, .after_pass = {}});
      if (context.is_enabled("row_demand")) continue;
      ASSERT_TRUE(structural_key(again) == structural_key(result)) << to_text(result) << "\nbecame\n" << to_text(again);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, FuzzRewrite, testing::Range(0u, 20u));

}  // namespace
}  // namespace lazuli
