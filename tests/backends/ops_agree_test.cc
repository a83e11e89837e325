// SPDX-License-Identifier: MIT
// Every op of ops.def gives on the cpu backend, at every instruction-set level of this host, what the reference backend
// gives.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/cpu_backend.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/passes/decompose.h>
#include <lazuli/tests/backends/ops_agree_cases.h>
#include <lazuli/tests/support/forced_isa.h>

#include <map>

namespace lazuli {
namespace {

using test::Case;
using test::Problem;

// Weights at the precision `fast` meet activations of 8 bits: 0.4 % of a block's largest each, relative to the row's.
constexpr double fast_share_of_row = 0.02;

// One rounding of the result's type, which can fall to the other side where the f32 before it differs in its last bit.
double rounding_of(DType dtype) { return dtype == DType::bf16 ? 0x1p-7 : dtype == DType::f16 ? 0x1p-10 : 0; }

std::vector<Problem> problems_of(const Case& a_case) {
  std::vector<Problem> problems;
  for (DType dtype : a_case.dtypes) {
    test::Operands operands;
    problems.push_back(test::problem_of(a_case.build(operands, dtype)));
    problems.back().donated.insert(a_case.donated.begin(), a_case.donated.end());
  }
  return problems;
}

std::vector<BufferRef> run(Backend& backend, const Problem& problem) {
  PassContext context;
  context.supports = [&](Op op, const Attrs& attrs, std::span<const Type> types) {
    return backend.supports(op, attrs, types);
  };
  context.enabled = [](std::string_view name) { return name == "composites"; };
  const Graph graph = decompose(problem.graph, context);
  const std::vector<int> donated(problem.donated.begin(), problem.donated.end());
  std::vector<BufferRef> inputs = problem.inputs, outputs;
  for (std::size_t input : problem.donated) {
    inputs[input] = Buffer::allocate(problem.inputs[input]->size());
    std::memcpy(inputs[input]->data(), problem.inputs[input]->data(), inputs[input]->size());
  }
  const auto program = backend.compile(graph, donated);
  for (const OutputPlacement& output : program->outputs())
    outputs.push_back(output.donated_input < 0 ? Buffer::allocate(static_cast<std::size_t>(output.bytes))
                                               : inputs[static_cast<std::size_t>(output.donated_input)]);
  program->execute(inputs, outputs);
  return outputs;
}

// The largest difference as a share of the largest value of its row.
double difference_in_rows(const Type& type, const Buffer& expected, const Buffer& actual) {
  const std::vector<double> left = test::values_of(type, expected), right = test::values_of(type, actual);
  const auto columns = static_cast<std::size_t>(type.shape.empty() ? 1 : type.shape.back());
  double largest = 0;
  for (std::size_t row = 0; row < left.size(); row += columns) {
    double scale = 0, difference = 0;
    for (std::size_t i = row; i < row + columns; ++i) {
      scale = std::max(scale, std::fabs(left[i]));
      difference = std::max(difference, std::fabs(left[i] - right[i]));
    }
    if (difference > 0) largest = std::max(largest, difference / scale);
  }
  return largest;
}

// Kept for all cases, with the kernels they generated.
CpuBackend& cpu(Isa isa, Precision precision) {
  static ThreadPool threads(2);
  static std::map<std::pair<Isa, Precision>, std::unique_ptr<CpuBackend>> backends;
  std::unique_ptr<CpuBackend>& backend = backends[{isa, precision}];
  if (!backend) backend = std::make_unique<CpuBackend>(threads, CpuBackendOptions{precision, isa, {}});
  return *backend;
}

class OpsAgree : public testing::TestWithParam<Case> {
 protected:
  void compare_outputs(const Problem& problem, const std::vector<BufferRef>& expected, Isa isa, Precision precision) {
    const std::vector<BufferRef> actual = run(cpu(isa, precision), problem);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const ValueId value = problem.graph.outputs[i];
      const Type& type = problem.graph.type(value);
      const Op op = problem.graph.node(value).op;
      const bool by_row =
          op == Op::linear || op == Op::expert_linear;  // sums that cancel keep the error of their terms
      const bool is_fast = by_row && precision == Precision::fast;
      const double rounding = GetParam().tolerance == test::exact ? 0 : rounding_of(type.dtype);
      const double tolerance = (is_fast ? fast_share_of_row : GetParam().tolerance) + rounding;
      const double difference = by_row ? difference_in_rows(type, *expected[i], *actual[i])
                                       : test::max_difference(type, *expected[i], *actual[i]);
      EXPECT_LE(difference, tolerance) << to_string(isa) << ", " << to_string(precision) << ", output " << i << ": %"
                                       << value.node << " in\n"
                                       << to_text(graph_of_output(problem.graph, i));
    }
  }

  static Graph graph_of_output(Graph graph, std::size_t output) {
    graph.outputs = {graph.outputs[output]};
    graph = remove_dead(std::move(graph));
    std::vector<bool> read(graph.nodes.size());
    for (const GraphNode& node : graph.nodes)
      for (ValueId input : node.inputs) read[static_cast<std::size_t>(input.node)] = true;
    Graph shown;
    std::vector<std::int32_t> moved(graph.nodes.size(), -1);
    for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
      if (graph.nodes[id].op == Op::input && !read[id]) continue;
      GraphNode copy = graph.nodes[id];
      for (ValueId& input : copy.inputs) input.node = moved[static_cast<std::size_t>(input.node)];
      moved[id] = shown.add(std::move(copy)).node;
    }
    shown.outputs = {{moved[static_cast<std::size_t>(graph.outputs[0].node)], graph.outputs[0].output}};
    return shown;
  }
};

TEST_P(OpsAgree, WithReference) {
  const auto reference = make_reference_backend();
  for (const Problem& problem : problems_of(GetParam())) {
    const std::vector<BufferRef> expected = run(*reference, problem);
    for (Isa isa : test::usable_isas()) {
      if (isa == Isa::amx && !GetParam().both_precisions) continue;  // only matmuls with weights differ from avx512
      compare_outputs(problem, expected, isa, Precision::f32);
      if (!GetParam().both_precisions) continue;
      for (const Phase phase : {Phase::any, Phase::prefill, Phase::decode}) {
        Problem in_phase = problem;
        in_phase.graph.phase = phase;
        compare_outputs(in_phase, expected, isa, Precision::fast);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, OpsAgree, testing::ValuesIn(test::all_cases()),
                         [](const auto& info) { return info.param.name; });

// fused_bits_test.cc covers `fused`, custom_ops_test.cc `custom`, control_flow_agree_test.cc control flow.
TEST(OpsAgree, CasesCoverTheList) {
  std::set<Op> covered = {Op::fused, Op::custom, Op::scan, Op::while_loop, Op::cond};
  for (const Case& a_case : test::all_cases())
    for (const Problem& problem : problems_of(a_case))
      for (const GraphNode& node : problem.graph.nodes) covered.insert(node.op);
  for (const OpInfo& op : all_ops()) EXPECT_TRUE(covered.contains(op.op)) << op.name;
}

}  // namespace
}  // namespace lazuli
