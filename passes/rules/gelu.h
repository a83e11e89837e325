// SPDX-License-Identifier: MIT
// Spellings of GELU's tanh form, Hendrycks & Gimpel 2016: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
#pragma once

#include <lazuli/passes/rules/pattern.h>

namespace lazuli {

// The op, or its definition in primitives: with x^3 as pow, as products or by square, with the factor x inside or
// outside the polynomial, and with the products associated either way.
pattern::Pattern any_gelu_tanh(const pattern::Pattern& x);
// The definition in primitives alone.
pattern::Pattern spelled_out_gelu_tanh(const pattern::Pattern& x);

}  // namespace lazuli
