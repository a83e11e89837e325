// SPDX-License-Identifier: MIT
// Measures the errors of elementwise functions and writes the tables of docs/numerics.md.
#pragma once

#include <lazuli/tests/accuracy/functions.h>

#include <cstdint>
#include <span>
#include <string>

namespace lazuli::test {

struct LargestError {
  double ulps = 0;
  double at = 0, second = 0;  // where; `second` is the other operand of two
};

// By the session that is current. Errors that a function is allowed beside its ulps do not count.
LargestError largest_error(const UnaryFunction& function, std::span<const float> values);
LargestError largest_error(const UnaryFunction& function, std::span<const double> values);
LargestError largest_error(const BinaryFunction& function, std::span<const float> a, std::span<const float> b);
LargestError largest_error(const BinaryFunction& function, std::span<const double> a, std::span<const double> b);
// Over all values of f16 or bf16, against the function in double.
LargestError largest_error_16(const UnaryFunction& function, DType dtype);

// f32 by its bits: first, first + step...; `count` of them.
std::vector<float> f32_values(std::uint64_t first, std::uint64_t step, std::size_t count);
// Of every exponent and sign: `count` pseudo-random values, every other one between 2^-8 and 2^8.
std::vector<double> f64_values(std::uint64_t seed, std::size_t count);
std::vector<float> f32_random_values(std::uint64_t seed, std::size_t count);

// What each function gives for NaN, infinities, zeros and the smallest subnormals: a table in markdown, from runs by
// the session that is current.
std::string table_of_special_values();

}  // namespace lazuli::test
