// SPDX-License-Identifier: MIT
// A rewrite rule of one's own, SiLU times a second operand, applied to a graph in text form. The last product stays as
// it is: its sigmoid has another reader, and the rule says so.
#include <lazuli/lazuli.h>

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

lz::SessionOptions with_rule(std::string* verdicts) {
  lz::SessionOptions options;
  options.rules = {silu_mul_rule()};
  options.on_verdict = [=](const lz::Verdict& verdict) {
    if (verdict.rule == "silu_mul")
      *verdicts += verdict.rule + ": " + (verdict.fired ? "fired" : verdict.reason) + "\n";
  };
  return options;
}

std::vector<float> evaluate(lz::Session& session, const lz::Graph& graph) {
  const lz::Array gate = lz::random::normal({2, 4}, lz::f32, 1), up = lz::random::normal({2, 4}, lz::f32, 2);
  const lz::Array first = session.run(graph, {gate, up})[0];
  const auto values = first.data<float>();
  return {values.begin(), values.end()};
}

}  // namespace

int main() {
  const lz::Graph graph = lz::parse_graph(program);
  std::string verdicts;
  lz::Session plain, ruled(with_rule(&verdicts));
  const lz::Graph fused = ruled.optimised(graph);
  std::cout << lz::to_text(graph) << "\n" << lz::to_text(fused) << "\n" << verdicts;
  const bool found = std::ranges::count(fused.nodes, "silu_mul", &lz::GraphNode::name) == 1;
  return found && evaluate(plain, graph) == evaluate(ruled, graph) ? 0 : 1;
}
