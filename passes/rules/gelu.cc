// SPDX-License-Identifier: MIT
#include <lazuli/passes/rules/gelu.h>
#include <lazuli/passes/rules/rules.h>

#include <numbers>

namespace lazuli {

using pattern::either;
using pattern::Pattern;
using pattern::var;

Pattern spelled_out_gelu_tanh(const Pattern& x) {
  constexpr double a = 0.044715;
  const double root = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;  // sqrt(2 / pi)
  const Pattern square = either({pattern::square(x), x * x, pow(x, 2)});
  const Pattern cube = either({pow(x, 3), square * x});
  const Pattern cubic_term = either({a * cube, (a * square) * x, ((a * x) * x) * x});
  const Pattern argument = either({root * (x + cubic_term), (root * x) * (1.0 + either({a * square, (a * x) * x})),
                                   root * (x * (1.0 + either({a * square, (a * x) * x})))});
  const Pattern gate = 1.0 + tanh(argument);
  return either({(0.5 * x) * gate, 0.5 * (x * gate), x * (0.5 * gate)});
}

Pattern any_gelu_tanh(const Pattern& x) { return either({gelu_tanh(x), spelled_out_gelu_tanh(x)}); }

Rule gelu_tanh_rule() { return rule("gelu_tanh").before(spelled_out_gelu_tanh(var("x"))).fuse(); }

}  // namespace lazuli
