// SPDX-License-Identifier: MIT
// Custom ops for tests: one class of parts that a test puts together, and ops as embedders write them.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/custom_op.h>
#include <lazuli/graph/ops/ops.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lazuli::test {

// Counts the calls of its kernel, and the rows they were for. Without attributes it is equal to itself alone.
class OwnOp : public CustomOp {
 public:
  using Kernel = std::function<void(const CustomRows&)>;
  using Parts = std::function<std::optional<std::vector<Array>>(std::span<const Array>)>;

  std::string called = "own", text;
  RowRule rule = RowRule::none;
  std::function<std::vector<Type>(std::span<const Type>)> types = [](std::span<const Type> operands) {
    return std::vector<Type>{operands[0]};
  };
  Kernel kernel;  // empty: none
  Parts parts;    // empty: none
  mutable std::atomic<int> calls{0};
  mutable std::atomic<std::int64_t> rows_computed{0};

  std::string name() const override { return called; }
  std::string attributes() const override { return text; }
  std::vector<Type> infer(std::span<const Type> operands) const override { return types(operands); }
  RowRule rows() const override { return rule; }
  bool has_kernel(std::span<const Type>) const override { return kernel != nullptr; }
  void compute(const CustomRows& rows) const override {
    ++calls;
    rows_computed += rows.end - rows.begin;
    kernel(rows);
  }
  std::optional<std::vector<Array>> decompose(std::span<const Array> operands) const override {
    return parts ? parts(operands) : std::nullopt;
  }
};

// 2 x, counted.
inline std::shared_ptr<OwnOp> twice(RowRule rule = RowRule::aligned) {
  auto op = std::make_shared<OwnOp>();
  op->called = "twice";
  op->rule = rule;
  op->kernel = [rule](const CustomRows& rows) {
    const auto copy = [](std::span<const float> x, std::span<float> y) {
      for (std::size_t i = 0; i < x.size(); ++i) y[i] = 2 * x[i];
    };
    if (rule == RowRule::none) return copy(rows.operand<float>(0), rows.result<float>());
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      copy(rows.operand_row<float>(0, row), rows.result_row<float>(0, row));
  };
  return op;
}

// x + sin²(a x) / a, Ziyin et al. 2020: a kernel for f32, a definition for all.
class Snake : public CustomOp {
 public:
  explicit Snake(double frequency) : frequency_(frequency) {}

  std::string name() const override { return "snake"; }
  std::string attributes() const override { return fmt::format("frequency={}", frequency_); }
  std::vector<Type> infer(std::span<const Type> operands) const override {
    if (operands.size() != 1 || !is_real(operands[0].dtype))
      throw Error(fmt::format("operand 0 is {}, expected one real array", to_string(operands[0])));
    return {operands[0]};
  }
  RowRule rows() const override { return RowRule::aligned; }
  bool has_kernel(std::span<const Type> operands) const override { return operands[0].dtype == DType::f32; }
  void compute(const CustomRows& rows) const override {
    const auto a = static_cast<float>(frequency_);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::span<const float> x = rows.operand_row<float>(0, row);
      const std::span<float> y = rows.result_row<float>(0, row);
      for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] + std::sin(a * x[i]) * std::sin(a * x[i]) / a;
    }
  }
  std::optional<std::vector<Array>> decompose(std::span<const Array> x) const override {
    const Array sine = sin(x[0] * frequency_);
    return std::vector{x[0] + sine * sine / frequency_};
  }

 private:
  double frequency_;
};

// (x - mean x) w of every row, and the mean: w [H] is for all rows. No decomposition, no members.
class Centre : public CustomOp {
 public:
  std::string name() const override { return "centre"; }
  std::vector<Type> infer(std::span<const Type> operands) const override {
    Type mean = operands[0];
    mean.shape.back() = 1;
    return {operands[0], mean};
  }
  RowRule rows() const override { return RowRule::leading; }
  void compute(const CustomRows& rows) const override {
    const std::span<const float> weight = rows.operand<float>(1);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::span<const float> x = rows.operand_row<float>(0, row);
      const float mean = std::accumulate(x.begin(), x.end(), 0.0f) / static_cast<float>(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) rows.result_row<float>(0, row)[i] = (x[i] - mean) * weight[i];
      rows.result_row<float>(1, row)[0] = mean;
    }
  }
};

}  // namespace lazuli::test
