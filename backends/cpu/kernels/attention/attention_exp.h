// SPDX-License-Identifier: MIT
// e^x for the softmax of attention. Private to its instruction-set units.
#pragma once

namespace lazuli {
namespace {

// e^x for x <= 0, within 1.5 units in the last place; NaN stays NaN. Results below the smallest normal number, those of
// x < -126 ln 2 (-inf included), are exactly 0: such keys weigh nothing beside the one at the maximum.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, the first short enough that n times it is exact (Cody &
// Waite 1980). e^r = 1 + r + r² P(r), P of degree 4 by the Remez exchange; its relative error is below 3.1e-9.
// n is read off the low bits of x log2 e + 1.5 * 2^23 + 127, where the float's spacing is 1; the 127 is the bias of the
// exponent field, into which V::power_of_two shifts those bits.
template <class V>
typename V::Register exp_nonpositive(typename V::Register x) {
  using Register = typename V::Register;
  const Register magic = V::broadcast(0x1.8p23f + 127.0f);
  const Register shifted = V::multiply_add(x, V::broadcast(0x1.715476p+0f), magic);
  const Register n = V::subtract(shifted, magic);
  Register r = V::multiply_add(n, V::broadcast(-0x1.63p-1f), x);
  r = V::multiply_add(n, V::broadcast(0x1.bd0106p-13f), r);
  Register p = V::multiply_add(V::broadcast(0x1.6a2434p-10f), r, V::broadcast(0x1.1239e2p-7f));
  p = V::multiply_add(p, r, V::broadcast(0x1.5558f2p-5f));
  p = V::multiply_add(p, r, V::broadcast(0x1.555492p-3f));
  p = V::multiply_add(p, r, V::broadcast(0x1.fffffcp-2f));
  p = V::add(V::multiply_add(p, V::multiply(r, r), r), V::broadcast(1.0f));
  return V::zero_where_below(V::multiply(p, V::power_of_two(shifted)), x, -0x1.5d589ep+6f);
}

}  // namespace
}  // namespace lazuli
