// SPDX-License-Identifier: MIT
// The elementwise functions of real dtypes beside what they should give, and the errors that are allowed: what tests
// hold and docs/numerics.md states.
#pragma once

#include <lazuli/graph/array.h>

#include <string>
#include <vector>

namespace lazuli::test {

// `exact` computes an f32's function in double, `exact_wide` an f64's in long double.
struct UnaryFunction {
  std::string name;
  Array (*op)(const Array&);
  double (*exact)(double);
  long double (*exact_wide)(long double);
  double ulps;        // largest error in f32, in units of the last place; 0.5: correctly rounded, 0: exact
  double ulps_f64;    // and in f64
  double beside = 0;  // error allowed besides in f32, as a share of |x|: where the definition loses digits
  double beside_f64 = 0;
  double below = 0;  // and error allowed besides near 0, where a step on the way is subnormal or flushed
  double below_f64 = 0;
  bool is_one_op = true;  // rounded once in 16 bits; others are several ops, each of which rounds
};

struct BinaryFunction {
  std::string name;
  Array (*op)(const Array&, const Array&);
  double (*exact)(double, double);
  long double (*exact_wide)(long double, long double);
  double ulps;
  double ulps_f64;
};

// Every elementwise op of real dtypes with one operand, and those that are made of several.
const std::vector<UnaryFunction>& unary_functions();
// Every elementwise op of real dtypes with two operands and a real result.
const std::vector<BinaryFunction>& binary_functions();

// Whether `got` is as near as the function allows besides its units in the last place.
bool is_near(const UnaryFunction& function, float x, float got, double exact);
bool is_near(const UnaryFunction& function, double x, double got, long double exact);

// What `got` is off, in units of the last place that `exact` has in f32 or f64: at most 0.5 where it is the nearest
// number; infinity where only one of them is NaN, or where their signs differ (those of zeros, too).
double ulps_of(float got, double exact);
double ulps_of(double got, long double exact);

}  // namespace lazuli::test
