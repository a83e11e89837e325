// SPDX-License-Identifier: MIT
#include <lazuli/passes/rules/rules.h>

namespace lazuli {

// A product with a tanh gate. Stands after softcap, whose product with the cap it would take otherwise.
Rule tanh_mul_rule() {
  const pattern::Pattern x = pattern::var("x"), y = pattern::var("y");
  return rule("tanh_mul").before(once(tanh(x)) * y).fuse();
}

}  // namespace lazuli
