// SPDX-License-Identifier: MIT
// Shape rules of control flow: what a node takes and gives follows from its bodies.
#include <lazuli/graph/graph.h>
#include <lazuli/graph/shape_rules/infer_call.h>

namespace lazuli::infer {
namespace {

std::string list(std::span<const Type> types) {
  std::string text;
  for (const Type& type : types) text += (text.empty() ? "" : ", ") + to_string(type);
  return text.empty() ? "nothing" : text;
}

Types results_of(const Graph& body) {
  Types types;
  for (const ValueId output : body.outputs) types.push_back(body.type(output));
  return types;
}

// The body's inputs are `given`.
void require_inputs(const Call& call, const BodyRef& body, std::string_view name, std::span<const Type> given) {
  if (!body) call.reject("has no {}", name);
  if (body.depth() > max_body_depth) call.reject("bodies nest deeper than {}", max_body_depth);
  std::size_t inputs = 0;
  for (const GraphNode& node : body->nodes) {
    if (node.op != Op::input) continue;
    ++inputs;
    const std::int64_t index = node.as<InputAttrs>().index;
    if (index < 0 || index >= static_cast<std::int64_t>(given.size()))
      call.reject("its {} has input {}, found {} operands", name, index, given.size());
    if (const Type& found = given[static_cast<std::size_t>(index)]; found != node.type())
      call.reject_shape(to_string(node.type()), to_string(found), "its {} takes {} as operand {}, found {}", name,
                        to_string(node.type()), index, to_string(found));
  }
  if (inputs != given.size()) call.reject("its {} takes {} operands, found {}", name, inputs, given.size());
}

std::size_t count_of(const Call& call, std::string_view what, std::int64_t count, std::size_t most) {
  if (count < 0 || static_cast<std::size_t>(count) > most)
    call.reject("has {} {}, expected 0 to {}", count, what, most);
  return static_cast<std::size_t>(count);
}

// What a body gives for the carries has their types.
void require_carries(const Call& call, std::span<const Type> given, std::size_t carries) {
  for (std::size_t i = 0; i < carries; ++i) {
    const Type& wanted = call.operand(i);
    if (given[i] == wanted) continue;
    const std::string text = fmt::format("carry {} is {}, the body gives {}; expected the same type", i,
                                         to_string(wanted), to_string(given[i]));
    if (given[i].shape == wanted.shape) call.reject_dtype(to_string(wanted), to_string(given[i]), "{}", text);
    call.reject_shape(to_string(wanted), to_string(given[i]), "{}", text);
  }
}

}  // namespace

Types scan(const Call& call) {
  const auto& attrs = call.as<ScanAttrs>();
  if (attrs.length < 0) call.reject("length is {}, expected 0 or more", attrs.length);
  const std::size_t carries = count_of(call, "carries", attrs.carries, call.operands.size());
  const std::size_t sequences = count_of(call, "sequences", attrs.sequences, call.operands.size() - carries);
  Types operands(call.operands.begin(), call.operands.end());
  for (std::size_t i = 0; i < sequences; ++i) {
    Shape& shape = operands[carries + i].shape;
    if (shape.empty() || shape[0] != attrs.length) {
      const std::string expected = fmt::format("{} along axis 0", attrs.length), found = call.found(carries + i);
      call.reject_shape(expected, found, "xs {} is {}, expected {}", i, found, expected);
    }
    shape.erase(shape.begin());
    operands[carries + i].named = {};  // no named axis is taken, which is looked at behind this
  }
  require_inputs(call, attrs.body, "body", operands);
  Types results = results_of(*attrs.body);
  if (results.size() < carries)
    call.reject("the body gives {} arrays, expected at least the {} carries", results.size(), carries);
  if (results.empty()) call.reject("the body gives nothing, expected a carry or an element of ys");
  require_carries(call, results, carries);
  for (std::size_t i = carries; i < results.size(); ++i)
    results[i].shape.insert(results[i].shape.begin(), attrs.length);
  return results;
}

Types while_loop(const Call& call) {
  const auto& attrs = call.as<WhileAttrs>();
  const std::size_t carries = count_of(call, "carries", attrs.carries, call.operands.size());
  if (carries == 0) call.reject("has no carry, expected one at least");
  require_inputs(call, attrs.condition, "condition", call.operands);
  require_inputs(call, attrs.body, "body", call.operands);
  const Type flag{DType::bool_, {}};
  if (const Types given = results_of(*attrs.condition); given != Types{flag}) {
    const std::string text = fmt::format("the condition gives {}, expected {}", list(given), to_string(flag));
    if (given.size() == 1 && given[0].shape.empty()) call.reject_dtype(to_string(flag), list(given), "{}", text);
    call.reject_shape(to_string(flag), list(given), "{}", text);
  }
  Types results = results_of(*attrs.body);
  if (results.size() != carries)
    call.reject("the body gives {} arrays, expected the {} carries", results.size(), carries);
  require_carries(call, results, carries);
  return results;
}

Types cond(const Call& call) {
  const auto& attrs = call.as<CondAttrs>();
  if (const Type flag{DType::bool_, {}}; call.operand(0) != flag) {
    if (call.operand(0).shape.empty())
      call.reject_dtype(to_string(flag), call.found(0), "the predicate is {}, expected {}", call.found(0),
                        to_string(flag));
    call.reject_shape(to_string(flag), call.found(0), "the predicate is {}, expected {}", call.found(0),
                      to_string(flag));
  }
  require_inputs(call, attrs.then_body, "then_body", call.operands.subspan(1));
  require_inputs(call, attrs.else_body, "else_body", call.operands.subspan(1));
  Types results = results_of(*attrs.then_body);
  const Types others = results_of(*attrs.else_body);
  if (results.size() != others.size())
    call.reject("then_body gives {} arrays, else_body {}; expected as many", results.size(), others.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i] == others[i]) continue;
    const std::string text = fmt::format("result {} is {} of then_body and {} of else_body; expected the same type", i,
                                         to_string(results[i]), to_string(others[i]));
    if (results[i].shape == others[i].shape) call.reject_dtype(to_string(results[i]), to_string(others[i]), "{}", text);
    call.reject_shape(to_string(results[i]), to_string(others[i]), "{}", text);
  }
  if (results.empty()) call.reject("the bodies give nothing, expected an array");
  return results;
}

}  // namespace lazuli::infer
