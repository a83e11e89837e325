// SPDX-License-Identifier: MIT
#include <lazuli/models/gemma/moe.h>

namespace lazuli {

Routing Router::operator()(const Array& x) const {
  Scope scope("router");
  const TopK best = top_k(logits(norm(x)), chosen);
  const Array scales = broadcast_to(per_expert_scale, {x.size(0), per_expert_scale.size(0)});
  return {best.indices, softmax(best.values) * gather(scales, best.indices, 1)};
}

Array Experts::operator()(const Array& x, const Routing& routing) const {
  Scope scope("experts");
  const Array rows = expand_dims(x, 1);
  Array gated, upped;
  if (gate_up) {
    const Array both = expert_linear(rows, *gate_up, routing.experts);
    const std::int64_t width = both.size(2) / 2;
    gated = slice_axis(both, 2, 0, width);
    upped = slice_axis(both, 2, width, 2 * width);
  } else {
    gated = expert_linear(rows, gate, routing.experts);
    upped = expert_linear(rows, up, routing.experts);
  }
  const Array results = expert_linear(gelu_tanh(gated) * upped, down, routing.experts);
  // Term by term, not as a reduction: one loop then reads each expert's result once and keeps none of the products.
  const std::vector<Array> terms = unstack(results, 1), shares = unstack(expand_dims(routing.weights, 2), 1);
  Array total = terms[0] * shares[0];
  for (std::size_t j = 1; j < terms.size(); ++j) total = total + terms[j] * shares[j];
  return total;
}

}  // namespace lazuli
