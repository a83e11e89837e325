// SPDX-License-Identifier: MIT
// Loops and branches inside a graph, with the semantics of JAX's lax.scan, lax.while_loop and lax.cond. A body is a
// function that builds a graph of its own: it is called once, with placeholders for what changes from iteration to
// iteration, and nothing it is given can be evaluated in it. Whatever else it uses, arrays of the graph around it,
// weights and numbers, it simply names; a loop computes what does not depend on its carries once, before it begins, and
// so also where it then ends before its first iteration. Bodies may hold bodies, 8 deep.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/base/function_ref.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace lazuli {

struct LAZULI_API ScanOptions {
  std::optional<std::int64_t> length;  // iterations; none: the size of axis 0 of xs
  bool reverse = false;                // from the last element of xs, and of ys, to the first
};

// Of a body: what it carries on, and an element of each of ys. Of the scan: what the last iteration carried on, and ys
// stacked along a new axis 0.
struct LAZULI_API ScanValues {
  std::vector<Array> carry, ys;
};

using ScanBody = FunctionRef<ScanValues(const std::vector<Array>& carry, const std::vector<Array>& x)>;

// for t in 0 .. length - 1: carry, y[t] = body(carry, x[t]), x[t] being each of xs without its axis 0. Any number of
// carries, xs and ys. Throws an Error for xs of different lengths, or of another than options.length; where nothing
// gives a length; and where the body's carries have other shapes or dtypes than those it was given. With a length of 0
// the carries come back as they are.
//   ScanValues sums = scan([](const auto& sum, const auto& x) { return ScanValues{{sum[0] + x[0]}, {sum[0]}}; },
//                          {zeros({4}, DType::f32)}, {x});
LAZULI_API ScanValues scan(ScanBody body, std::vector<Array> carry, std::vector<Array> xs = {},
                           const ScanOptions& options = {});

using LoopCondition = FunctionRef<Array(const std::vector<Array>& carry)>;
using LoopBody = FunctionRef<std::vector<Array>(const std::vector<Array>& carry)>;

// while condition(carry): carry = body(carry). One carry or more. Throws an Error where the condition gives anything
// but a bool [], and where the body's carries have other shapes or dtypes than those it was given. Where the condition
// stays true the run goes on until RunLimits (run_limits.h), which are looked at before each iteration, end it.
LAZULI_API std::vector<Array> while_loop(LoopCondition condition, LoopBody body, std::vector<Array> carry);

using Branch = FunctionRef<std::vector<Array>(const std::vector<Array>& operands)>;

// then_body(operands) where the predicate, a bool [], is true, else_body(operands) where it is not; the other is not
// computed. Throws an Error where the two give arrays of different shapes or dtypes.
LAZULI_API std::vector<Array> cond(const Array& predicate, Branch then_body, Branch else_body,
                                   std::vector<Array> operands = {});

}  // namespace lazuli
