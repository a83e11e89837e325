// SPDX-License-Identifier: MIT
// An op of one's own: the activation of Ziyin et al. 2020 as an object with shape rule, rows, kernel and definition,
// and a rule that finds it in a program that spells it out. With "-composites" the definition runs in its place.
#include <lazuli/lazuli.h>

#include <algorithm>
#include <cmath>
#include <iostream>

namespace lz = lazuli;

namespace {

// x + sin²(x)
class Snake final : public lz::CustomOp {
 public:
  std::string name() const override { return "snake"; }
  std::vector<lz::Type> infer(std::span<const lz::Type> operands) const override {
    if (operands[0].dtype != lz::f32) throw lz::Error("operand 0 is " + to_string(operands[0]) + ", expected f32");
    return {operands[0]};
  }
  lz::RowRule rows() const override { return lz::RowRule::aligned; }
  void compute(const lz::CustomRows& rows) const override {
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      std::ranges::transform(rows.operand_row<float>(0, row), rows.result_row<float>(0, row).begin(),
                             [](float x) { return x + std::sin(x) * std::sin(x); });
  }
  std::optional<std::vector<lz::Array>> decompose(std::span<const lz::Array> x) const override {
    return std::vector{x[0] + lz::square(lz::sin(x[0]))};
  }
};

bool runs_snake(lz::Session& session, const lz::Array& y) {
  const lz::Graph plan = session.plan({y});
  std::cout << lz::to_text(plan) << "\n";
  session.eval(y);
  return std::ranges::count(plan.nodes, "snake", &lz::GraphNode::name) == 1;
}

}  // namespace

int main() {
  const auto snake = std::make_shared<Snake>();
  const lz::pattern::Pattern x = lz::pattern::var("x"), sine = lz::pattern::apply(lz::Op::sin, {x});
  lz::SessionOptions parts, rule;
  parts.fusion = "all,-composites";
  rule.rules = {lz::rule("to_snake").before(x + square(sine)).after(lz::pattern::custom(snake, {x}))};
  lz::Session with_kernel, with_parts(parts), with_rule(rule);

  const lz::Array in = lz::random::normal({64, 32}, lz::f32, 1);
  with_kernel.eval(in);  // or its kernel and that of the op would be one launch
  const lz::Array a = lz::custom(snake, {in}), b = lz::custom(snake, {in}), c = in + lz::square(lz::sin(in));
  const bool chosen = runs_snake(with_kernel, a) && !runs_snake(with_parts, b) && runs_snake(with_rule, c);
  const float difference = lz::max(lz::abs(a - b), {0, 1}).item<float>();
  return chosen && difference < 1e-5f && std::ranges::equal(a.data<float>(), c.data<float>()) ? 0 : 1;
}
