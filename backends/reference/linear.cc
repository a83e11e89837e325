// SPDX-License-Identifier: MIT
// Products of matrices.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>

namespace lazuli::reference {

void matmul(const Call& call) {
  const Tensor& result = call.result();
  const std::vector<double> a = real_values(call.operand(0)), b = real_values(call.operand(1));
  const Shape &a_shape = call.operand(0).shape(), &b_shape = call.operand(1).shape(), &shape = result.shape();
  const std::int64_t rows = shape[shape.size() - 2], columns = shape.back(), inner = a_shape.back();
  const Shape batch(shape.begin(), shape.end() - 2);
  const std::array<Dims, 2> batch_strides = {broadcast_strides({a_shape.begin(), a_shape.end() - 2}, batch),
                                             broadcast_strides({b_shape.begin(), b_shape.end() - 2}, batch)};
  for_each_index(batch, batch_strides, [&](std::int64_t matrix, const auto& matrices) {
    const double* left = a.data() + matrices[0] * rows * inner;
    const double* right = b.data() + matrices[1] * inner * columns;
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = 0; column < columns; ++column) {
        double total = 0;
        for (std::int64_t k = 0; k < inner; ++k) total += left[row * inner + k] * right[k * columns + column];
        result.set_real((matrix * rows + row) * columns + column, total);
      }
  });
}

void linear(const Call& call) {
  const Tensor &weight = call.operand(1), &result = call.result();
  const std::vector<double> x = real_values(call.operand(0));
  const std::int64_t columns = weight.size(0), inner = weight.size(1);
  const std::int64_t rows = columns == 0 ? 0 : result.elements() / columns;
  const Type row_type{weight.dtype(), {inner}};
  for (std::int64_t column = 0; column < columns; ++column) {
    const std::vector<double> weights =
        real_values({&row_type, weight.data + byte_size(weight.dtype(), column * inner)});
    for (std::int64_t row = 0; row < rows; ++row) {
      double total = 0;
      for (std::int64_t k = 0; k < inner; ++k)
        total += x[static_cast<std::size_t>(row * inner + k)] * weights[static_cast<std::size_t>(k)];
      result.set_real(row * columns + column, total);
    }
  }
}

void expert_linear(const Call& call) {
  const Tensor &weight = call.operand(1), &experts = call.operand(2), &result = call.result();
  const std::vector<double> x = real_values(call.operand(0));
  const std::int64_t shared_rows = call.operand(0).size(1), chosen = experts.size(1);
  const std::int64_t columns = weight.size(1), inner = weight.size(2);
  std::vector<float> weights(static_cast<std::size_t>(inner));
  for (std::int64_t pair = 0; pair < experts.elements(); ++pair) {
    const std::int64_t expert = experts.integer(pair);
    check_index(expert, pair, weight.size(0));
    const double* row = x.data() + (pair / chosen * shared_rows + std::min(pair % chosen, shared_rows - 1)) * inner;
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::byte* blocks = weight.data + byte_size(weight.dtype(), (expert * columns + column) * inner);
      dequantise(weight.dtype(), blocks, inner, weights.data());
      double total = 0;
      for (std::int64_t k = 0; k < inner; ++k) total += row[k] * weights[static_cast<std::size_t>(k)];
      result.set_real(pair * columns + column, total);
    }
  }
}

}  // namespace lazuli::reference
