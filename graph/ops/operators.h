// SPDX-License-Identifier: MIT
// Operators on arrays beside those of arithmetic (ops.h), and printing. Each is the function it names: it makes a lazy
// node and has its dtypes and errors. None is short-circuited: `a && b` computes both. Comparisons give bool arrays,
// not truth: `if (a == b)` does not compile.
#pragma once

#include <lazuli/graph/ops/ops.h>

#include <iosfwd>

namespace lazuli {

inline Array operator==(const Array& a, const Array& b) { return equal(a, b); }
inline Array operator!=(const Array& a, const Array& b) { return not_equal(a, b); }
inline Array operator<(const Array& a, const Array& b) { return less(a, b); }
inline Array operator<=(const Array& a, const Array& b) { return less_equal(a, b); }
inline Array operator>(const Array& a, const Array& b) { return greater(a, b); }
inline Array operator>=(const Array& a, const Array& b) { return greater_equal(a, b); }

inline Array operator!(const Array& x) { return logical_not(x); }
inline Array operator&&(const Array& a, const Array& b) { return logical_and(a, b); }
inline Array operator||(const Array& a, const Array& b) { return logical_or(a, b); }

inline Array operator~(const Array& x) { return bitwise_invert(x); }
inline Array operator&(const Array& a, const Array& b) { return bitwise_and(a, b); }
inline Array operator|(const Array& a, const Array& b) { return bitwise_or(a, b); }
inline Array operator^(const Array& a, const Array& b) { return bitwise_xor(a, b); }
inline Array operator<<(const Array& a, const Array& b) { return left_shift(a, b); }
inline Array operator>>(const Array& a, const Array& b) { return right_shift(a, b); }

// The sign of b, as in Python, and not that of a, as in C++: that is fmod.
inline Array operator%(const Array& a, const Array& b) { return remainder(a, b); }

// The handle becomes one of the new value; other handles of the old one keep it.
inline Array& operator+=(Array& a, const Array& b) { return a = a + b; }
inline Array& operator-=(Array& a, const Array& b) { return a = a - b; }
inline Array& operator*=(Array& a, const Array& b) { return a = a * b; }
inline Array& operator/=(Array& a, const Array& b) { return a = a / b; }
inline Array& operator%=(Array& a, const Array& b) { return a = a % b; }
inline Array& operator&=(Array& a, const Array& b) { return a = a & b; }
inline Array& operator|=(Array& a, const Array& b) { return a = a | b; }
inline Array& operator^=(Array& a, const Array& b) { return a = a ^ b; }
inline Array& operator<<=(Array& a, const Array& b) { return a = a << b; }
inline Array& operator>>=(Array& a, const Array& b) { return a = a >> b; }

// array([[1, 2], [3, 4]], dtype=i32), a row a line. Evaluates and waits. Of more than 1000 elements the first and last
// three along each axis; f32 and f64 with as many digits as tell them from their neighbours, 16-bit ones with five.
// Quantised arrays show their type alone.
LAZULI_API std::ostream& operator<<(std::ostream& out, const Array& x);

}  // namespace lazuli
