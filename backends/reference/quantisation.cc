// SPDX-License-Identifier: MIT
// Block-quantised tensors made and read as a whole.
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>

namespace lazuli::reference {

void quantise(const Call& call) {
  const std::vector<double> values = real_values(call.operand(0));
  const std::vector<float> floats(values.begin(), values.end());  // exact: f64 is none of the operands
  lazuli::quantise(call.result().dtype(), floats.data(), call.result().elements(), call.result().data);
}

void dequantise(const Call& call) {
  const std::vector<double> values = real_values(call.operand(0));
  for (std::size_t i = 0; i < values.size(); ++i) call.result().set_real(static_cast<std::int64_t>(i), values[i]);
}

}  // namespace lazuli::reference
