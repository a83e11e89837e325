// SPDX-License-Identifier: MIT
// A rewrite rule of one's own, SiLU times a second operand, applied to a graph in text form. The last product stays as
// it is: its sigmoid has another reader, and the rule says so.
#include <lazuli/graph/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/passes/rules/rewrite.h>
#include <lazuli/runtime/session.h>

#include <algorithm>
#include <iostream>

namespace lz = lazuli;

namespace {

// x sigmoid(x) y, the gate of SwiGLU (Shazeer 2020). Commutative ops match in both orders.
lz::Rule silu_mul_rule() {
  using namespace lz::pattern;
  const Pattern x = var("x"), y = var("y"), gate = once(apply(lz::Op::sigmoid, {x}));
  return lz::rule("silu_mul").before(once(x * gate) * y).fuse();
}

constexpr std::string_view program = R"(
%gate = input f32[2,4]
%up = input f32[2,4]
%a = sigmoid %gate
%b = mul %a, %gate
%c = mul %up, %b        # silu_mul
%d = sigmoid %up
%e = mul %up, %d
%f = mul %e, %gate      # not: %d is a result as well
return %c, %d, %f
)";

std::vector<float> evaluate(const lz::Graph& graph) {
  lz::Session session;
  std::vector<lz::Operand> operands;
  for (const std::int64_t key : {1, 2}) {
    const lz::Array values = lz::random::normal({2, 4}, lz::f32, key);
    session.eval(values);
    operands.push_back({values.node()->results[0], false});
  }
  const auto results = session.run(session.prepare(graph, {}), std::move(operands), /*stream=*/0, /*wait=*/true);
  results[0].ready->wait();
  return {results[0].buffer->as<float>(), results[0].buffer->as<float>() + 8};
}

}  // namespace

int main() {
  const lz::Graph before = lz::parse_graph(program);
  const lz::Rule rules[] = {silu_mul_rule()};
  std::string verdicts;
  lz::PassContext context;
  context.note = [&](const lz::Verdict& v) { verdicts += v.rule + ": " + (v.fired ? "fired" : v.reason) + "\n"; };
  const lz::Graph after = lz::rewrite(before, rules, context);
  std::cout << lz::to_text(before) << "\n" << lz::to_text(after) << "\n" << verdicts;
  const bool fused = std::ranges::count(after.nodes, "silu_mul", &lz::GraphNode::name) == 1;
  return fused && evaluate(before) == evaluate(after) ? 0 : 1;
}
