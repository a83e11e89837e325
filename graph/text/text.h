// SPDX-License-Identifier: MIT
// The text form of graphs. print and parse are inverse: parse(to_text(g)) has the structure, labels, scopes and sources
// of g (constants come back without data).
//
//   graph {phase=decode}
//   %0 = input "x" {index=0} : f32[4,2048]
//   %1 = constant "blk.0.ffn_gate.weight" : q4_0[8192,2048]
//   %2 = linear %0, %1 : f32[4,8192] @layers.0.mlp
//   %3, %4 = top_k %2 {k=8} : f32[4,8], i32[4,8]
//   %5 = fused %2, %2 {name=gelu_mul} : f32[4,8192] !from 3:gelu_tanh, 4:mul {
//     %0 = input {index=0} : f32[4,8192]
//     ...
//     return %3
//   }
//   %6 = snake %5 {frequency=2} : f32[4,8192]
//   %7 = scan %6, %0 {length=4, carries=1, sequences=1, reverse=false} : f32[4,8192] body {
//     ...
//   }
//   return %7 "activated"
//
// Values are numbered in order of appearance. The first line stands only where the phase is not `any`, or where the
// graph lists the launches of a program (Graph::scheduled): `graph {scheduled=true}`. There types are taken as they are
// written, any op may have any operands, and a launch that gives nothing begins with "=". Names stand after `return`
// only where outputs are named. A statement ends with its line. `!from` is left out where it says nothing new:
// a node of the graph that stands for itself, a node of a body that stands for none (`!from none` elsewhere).
//
// Bodies of control flow stand behind their names, as attributes do: `body`, `condition`, `then_body`, `else_body`.
//
// The parser also takes what people write by hand: result names may be any %identifier; the ": type" of a node may be
// left out where it can be inferred (of all but input, constant and fused; those may drop the colon); attributes left
// out keep their defaults, and inputs are then counted in order; a number may stand where a scalar operand is meant,
// and takes the dtype of the last other operand, or i32 where the op wants positions; "#" starts a comment.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/custom_op_ref.h>
#include <lazuli/graph/graph.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace lazuli {

LAZULI_API std::string to_text(const Graph& graph);

// Makes an op of what stands between the braces behind its name; "" where nothing stands there.
using CustomOpFactory = std::function<CustomOpRef(std::string_view attributes)>;

struct LAZULI_API ParseOptions {
  // By the names of the caller's own ops, such as `snake` above.
  std::map<std::string, CustomOpFactory, std::less<>> custom_ops;
};

// Throws an Error with line and column, what was found and what was expected. Checks names, arity, attributes and
// types; `verify` checks the rest.
LAZULI_API Graph parse_graph(std::string_view text, const ParseOptions& options = {});

}  // namespace lazuli
