// SPDX-License-Identifier: MIT
#include <lazuli/passes/rules/gelu.h>
#include <lazuli/passes/rules/rules.h>

namespace lazuli {

// The gated linear unit of Gemma's MLP: activation(gate) * up.
Rule gelu_mul_rule() {
  const pattern::Pattern x = pattern::var("x"), y = pattern::var("y");
  return rule("gelu_mul").before(once(any_gelu_tanh(x)) * y).fuse();
}

}  // namespace lazuli
