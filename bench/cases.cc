// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/bench/cases.h>
#include <lazuli/graph/ops.h>
#include <lazuli/graph/types/quantised.h>

namespace lazuli::bench {
namespace {

constexpr std::int64_t width = 2048, gated_width = 8192, planes = 4;
// Logits of one token are 262144 numbers; this many keep 512 rows within 64 MiB.
constexpr std::int64_t logits_width = 32768;
constexpr double epsilon = 1e-6;

using Shapes = std::vector<Shape>;
using Arrays = std::vector<Array>;

// A case without weights: `formula` of the operands.
Case formula(std::string name, std::function<Shapes(std::int64_t)> operands, Array (*formula)(const Arrays&)) {
  const auto make = [formula] { return [formula](const Arrays& in) { return Arrays{formula(in)}; }; };
  return {std::move(name), std::move(operands), make};
}

Array weight_of(Workspace& workspace, DType dtype, std::int64_t rows, std::int64_t cols) {
  const Type type{dtype, {rows, cols}};
  BufferRef stored = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  quantise(dtype, workspace.operands(rows * cols)->as<float>(), rows * cols, stored->data());
  return Array::constant(std::move(stored), type, "weight");
}

Case linear_case(std::shared_ptr<Workspace> workspace, DType dtype, std::int64_t outputs, std::int64_t inputs) {
  Case result;
  result.name = fmt::format("linear_{}_{}x{}", to_string(dtype), outputs, inputs);
  result.operands = [=](std::int64_t rows) { return Shapes{{rows, inputs}}; };
  result.make = [=] {
    const Array weight = weight_of(*workspace, dtype, outputs, inputs);
    return [weight](const Arrays& in) { return Arrays{linear(in[0], weight)}; };
  };
  result.operations_per_row = 2.0 * static_cast<double>(outputs) * static_cast<double>(inputs);
  result.weight_bytes = byte_size(dtype, outputs * inputs);
  return result;
}

Shapes two_gated(std::int64_t rows) { return {{rows, gated_width}, {rows, gated_width}}; }
Shapes normed(std::int64_t rows) { return {{rows, width}, {width}}; }

void add_elementwise(std::vector<Case>& all) {
  all.push_back(formula("gelu_mul", two_gated, [](const Arrays& in) { return gelu_tanh(in[0]) * in[1]; }));
  all.push_back(formula("tanh_mul", two_gated, [](const Arrays& in) { return tanh(in[0]) * in[1]; }));
  all.push_back(formula(
      "softcap", [](std::int64_t rows) { return Shapes{{rows, logits_width}}; },
      [](const Arrays& in) { return tanh(in[0] / 30.0) * 30.0; }));
}

void add_altup(std::vector<Case>& all) {
  all.push_back(formula(
      "altup_predict", [](std::int64_t rows) { return Shapes{{planes, rows, width}, {rows, planes * planes}}; },
      [](const Arrays& in) { return altup_predict(in[0], in[1]); }));
  all.push_back(formula(
      "altup_correct", [](std::int64_t rows) { return Shapes{{planes, rows, width}, {rows, width}, {rows, planes}}; },
      [](const Arrays& in) { return altup_correct(in[0], in[1], in[2]); }));
}

void add_rows(std::vector<Case>& all) {
  all.push_back(formula("rms_norm", normed, [](const Arrays& in) { return rms_norm(in[0], in[1], epsilon); }));
  all.push_back(formula(
      "rms_norm_residual", [](std::int64_t rows) { return Shapes{{rows, width}, {width}, {rows, width}}; },
      [](const Arrays& in) { return in[2] + rms_norm(in[0], in[1], epsilon); }));
  all.push_back(formula(
      "softmax", [](std::int64_t rows) { return Shapes{{rows, width}}; },
      [](const Arrays& in) { return softmax(in[0]); }));
}

}  // namespace

std::vector<Case> cases(const std::shared_ptr<Workspace>& workspace) {
  std::vector<Case> all;
  add_elementwise(all);
  add_altup(all);
  add_rows(all);
  for (const DType dtype : {DType::q4_0, DType::q8_0, DType::bf16, DType::f32}) {
    all.push_back(linear_case(workspace, dtype, compared_outputs, compared_inputs));
    all.push_back(linear_case(workspace, dtype, 2048, 640));
  }
  return all;
}

}  // namespace lazuli::bench
