// SPDX-License-Identifier: MIT
#include <lazuli/graph/ops/body_trace.h>
#include <lazuli/graph/ops/control_flow.h>
#include <lazuli/graph/ops/ops_parts.h>

#include <iterator>
#include <utility>

namespace lazuli {
namespace {

using Arrays = std::vector<Array>;

void append(Arrays& to, const Arrays& more) { to.insert(to.end(), more.begin(), more.end()); }

std::vector<Type> types_of(const Arrays& arrays) {
  std::vector<Type> types;
  for (const Array& array : arrays) types.push_back(array.type());
  return types;
}

// Of the elements that an iteration sees.
std::vector<Type> element_types(const Arrays& xs) {
  std::vector<Type> types = types_of(xs);
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (types[i].shape.empty())
      throw Error(fmt::format("scan: xs {} is {}, expected an axis 0 to go along{}", i, to_string(xs[i].type()),
                              Scope::where(Scope::current())),
                  {.kind = ErrorKind::shape,
                   .op = "scan",
                   .expected = "an axis 0 to go along",
                   .found = to_string(xs[i].type())});
    types[i].shape.erase(types[i].shape.begin());
    types[i].named = {};
  }
  return types;
}

std::int64_t length_of(const Arrays& xs, const ScanOptions& options) {
  if (options.length) return *options.length;
  if (xs.empty()) reject_call("scan", "nothing gives the number of iterations, expected xs or options.length");
  return xs[0].size(0);
}

}  // namespace

ScanValues scan(ScanBody body, Arrays carry, Arrays xs, const ScanOptions& options) {
  const std::vector<Type> elements = element_types(xs);
  const std::int64_t length = length_of(xs, options);
  const Arrays carried = make_parameters("carry", types_of(carry)), x = make_parameters("x", elements);
  Arrays parameters = carried;
  append(parameters, x);
  // Of no iteration nothing is computed.
  BodyTrace trace("scan", std::move(parameters),
                  length > 0 ? BodyTrace::Invariant::hoisted : BodyTrace::Invariant::inside);
  ScanValues given = body(carried, x);
  if (given.carry.size() != carry.size())
    reject_call("scan", "the body gives {} carries, expected {}", given.carry.size(), carry.size());
  append(given.carry, given.ys);
  ScanAttrs attrs{length, static_cast<std::int64_t>(carry.size()), static_cast<std::int64_t>(xs.size()),
                  options.reverse, BodyRef(trace.body(given.carry))};
  Arrays operands = std::move(carry);
  append(operands, xs);
  append(operands, trace.captures());
  Arrays results = make_node(Op::scan, std::move(attrs), std::move(operands));
  const auto first_y = results.begin() + static_cast<std::ptrdiff_t>(carried.size());
  return {Arrays(results.begin(), first_y), Arrays(first_y, results.end())};
}

Arrays while_loop(LoopCondition condition, LoopBody body, Arrays carry) {
  if (carry.empty()) reject_call("while_loop", "has no carry, expected one at least");
  BodyTrace trace("while_loop", make_parameters("carry", types_of(carry)), BodyTrace::Invariant::hoisted);
  const Arrays goes_on{condition(trace.parameters())};
  const Arrays given = body(trace.parameters());
  Graph condition_graph = trace.body(goes_on), body_graph = trace.body(given);
  trace.complete(condition_graph);
  WhileAttrs attrs{static_cast<std::int64_t>(carry.size()), BodyRef(std::move(condition_graph)),
                   BodyRef(std::move(body_graph))};
  Arrays operands = std::move(carry);
  append(operands, trace.captures());
  return make_node(Op::while_loop, std::move(attrs), std::move(operands));
}

Arrays cond(const Array& predicate, Branch then_body, Branch else_body, Arrays operands) {
  BodyTrace trace("cond", make_parameters("operand", types_of(operands)), BodyTrace::Invariant::inside);
  const Arrays then_given = then_body(trace.parameters());
  const Arrays else_given = else_body(trace.parameters());
  Graph then_graph = trace.body(then_given), else_graph = trace.body(else_given);
  trace.complete(then_graph);
  CondAttrs attrs{BodyRef(std::move(then_graph)), BodyRef(std::move(else_graph))};
  Arrays all{predicate};
  append(all, operands);
  append(all, trace.captures());
  return make_node(Op::cond, std::move(attrs), std::move(all));
}

}  // namespace lazuli
