// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/bench/cases.h>
#include <lazuli/graph/ops/ops.h>
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

// A product of two operands that the program is given, neither of them a constant.
Case product_case(std::string name, std::function<Shapes(std::int64_t)> operands, Array (*product)(const Arrays&),
                  double operations_per_row) {
  Case result = formula(std::move(name), std::move(operands), product);
  result.operations_per_row = operations_per_row;
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

void add_products(std::vector<Case>& all) {
  for (const auto& [outputs, inputs] : {std::pair(2048, 640), std::pair(640, 2048), std::pair(2048, 2048)})
    all.push_back(product_case(
        fmt::format("product_{}x{}", outputs, inputs),
        [outputs = outputs, inputs = inputs](std::int64_t rows) { return Shapes{{rows, inputs}, {outputs, inputs}}; },
        [](const Arrays& in) { return linear(in[0], in[1]); }, 2.0 * outputs * inputs));
  constexpr std::int64_t heads = 8, keys = 256, head_width = 64;
  constexpr double operations = 2.0 * heads * keys * head_width;
  all.push_back(product_case(
      "product_queries_keys",
      [](std::int64_t rows) { return Shapes{{heads, rows, head_width}, {heads, keys, head_width}}; },
      [](const Arrays& in) { return matmul(in[0], transpose(in[1], {0, 2, 1})); }, operations));
  all.push_back(product_case(
      "product_scores_values", [](std::int64_t rows) { return Shapes{{heads, rows, keys}, {heads, keys, head_width}}; },
      [](const Arrays& in) { return matmul(in[0], in[1]); }, operations));
}

// A convolution that keeps the size of its images, [size, size, channels], with the kernel as weight.
Case convolution_case(const std::shared_ptr<Workspace>& workspace, std::string name, std::int64_t size,
                      std::int64_t channels, std::int64_t outputs, std::int64_t kernel, std::int64_t groups) {
  Case result;
  result.name = std::move(name);
  result.operands = [=](std::int64_t images) { return Shapes{{images, size, size, channels}}; };
  const std::int64_t inputs = kernel * kernel * channels / groups;
  result.make = [=] {
    const Array matrix = weight_of(*workspace, DType::f32, outputs, inputs);
    const Type type{DType::f32, {outputs, kernel, kernel, channels / groups}};
    const Array weight = Array::constant(matrix.node()->results()[0].buffer, type, "weight");
    return [=](const Arrays& in) { return Arrays{conv2d(in[0], weight, {1}, {kernel / 2}, {1}, groups)}; };
  };
  result.operations_per_row = 2.0 * static_cast<double>(size * size * outputs * inputs);
  result.weight_bytes = byte_size(DType::f32, outputs * inputs);
  result.row_counts = {1, 8};
  return result;
}

void add_convolutions(const std::shared_ptr<Workspace>& workspace, std::vector<Case>& all) {
  all.push_back(convolution_case(workspace, "conv_3x3_56x56x64", 56, 64, 64, 3, 1));
  all.push_back(convolution_case(workspace, "conv_3x3_14x14x256", 14, 256, 256, 3, 1));
  all.push_back(convolution_case(workspace, "conv_1x1_56x56x64_256", 56, 64, 256, 1, 1));
  all.push_back(convolution_case(workspace, "conv_depthwise_112x112x32", 112, 32, 32, 3, 32));
  all.push_back(convolution_case(workspace, "conv_depthwise_14x14x512", 14, 512, 512, 3, 512));
}

}  // namespace

std::vector<Case> cases(const std::shared_ptr<Workspace>& workspace) {
  std::vector<Case> all;
  add_elementwise(all);
  add_altup(all);
  add_rows(all);
  add_products(all);
  add_convolutions(workspace, all);
  for (const DType dtype : {DType::q4_0, DType::q8_0, DType::bf16, DType::f32}) {
    all.push_back(linear_case(workspace, dtype, compared_outputs, compared_inputs));
    all.push_back(linear_case(workspace, dtype, 2048, 640));
  }
  return all;
}

}  // namespace lazuli::bench
