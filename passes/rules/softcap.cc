// SPDX-License-Identifier: MIT
#include <lazuli/passes/rules/rules.h>

namespace lazuli {

// tanh(x / c) * c with one and the same c. The tanh inside GELU feeds "1 +" and never matches.
Rule softcap_rule() {
  const pattern::Pattern x = pattern::var("x"), c = pattern::constant("c");
  return rule("softcap")
      .before(softcap(x))
      .before(once(tanh(x / c)) * c)
      .before(once(tanh(x * pattern::inverse("c"))) * c)
      .fuse();
}

}  // namespace lazuli
