// SPDX-License-Identifier: MIT
// scan, while_loop and cond as a program calls them: what bodies capture, what is refused, and how nodes with bodies
// are written, read and saved. Values are those of the reference backend; control_flow_agree_test.cc compares the other
// one.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/operations.h>
#include <lazuli/graph/ops/control_flow.h>
#include <lazuli/graph/ops/operators.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/expect_elements.h>

#include <algorithm>
#include <filesystem>
#include <stop_token>

namespace lazuli {
namespace {

using test::error_of;
using Arrays = std::vector<Array>;
using Floats = std::vector<float>;

SessionOptions on_reference() {
  SessionOptions options;
  options.backend = "reference";
  options.verify = true;
  return options;
}

Array of(Shape shape, DType dtype = DType::f32) { return placeholder({dtype, std::move(shape)}); }

Array floats_from(const Floats& values) { return Array::from(values, {static_cast<std::int64_t>(values.size())}); }

Floats floats(const Array& array) {
  const auto data = array.data<float>();
  return {data.begin(), data.end()};
}

// h' = decay h + x, y = h'.
ScanValues filtered(const Array& xs, const Array& decay, const ScanOptions& options = {}) {
  return scan(
      [&](const Arrays& h, const Arrays& x) {
        const Array next = h[0] * decay + x[0];
        return ScanValues{{next}, {next}};
      },
      {Array::from({1.0f}, {})}, {xs}, options);
}

const GraphNode& only_node(const Graph& graph, Op op) {
  return *std::ranges::find_if(graph.nodes, [&](const GraphNode& node) { return node.op == op; });
}

TEST(ControlFlow, ScanCarriesAndStacks) {
  Session session(on_reference());
  const ScanValues forward = filtered(floats_from({1, 2, 3}), 0.5f);
  EXPECT_EQ(forward.ys[0].type(), (Type{DType::f32, {3}}));
  EXPECT_EQ(floats(forward.ys[0]), (Floats{1.5f, 2.75f, 4.375f}));
  EXPECT_EQ(forward.carry[0].item<float>(), 4.375f);
  const ScanValues backward = filtered(floats_from({1, 2, 3}), 0.5f, {.reverse = true});
  EXPECT_EQ(floats(backward.ys[0]), (Floats{2.875f, 3.75f, 3.5f}));
  EXPECT_EQ(backward.carry[0].item<float>(), 2.875f);
}

TEST(ControlFlow, ScanOfNothing) {
  Session session(on_reference());
  const ScanValues none = filtered(zeros({0}, DType::f32), 0.5f);
  EXPECT_EQ(none.carry[0].item<float>(), 1);
  EXPECT_EQ(none.ys[0].type(), (Type{DType::f32, {0}}));
}

TEST(ControlFlow, ScanOfALengthAlone) {
  Session session(on_reference());
  const ScanValues powers = scan(
      [](const Arrays& carry, const Arrays& x) {
        EXPECT_TRUE(x.empty());
        return ScanValues{{carry[0] * 2, carry[1] + 1}, {carry[0], carry[1]}};
      },
      {Array::from({1.0f}, {1}), Array::from({0}, {})}, {}, {.length = 4});
  EXPECT_EQ(powers.carry[0].item<float>(), 16);
  EXPECT_EQ(powers.carry[1].item<int>(), 4);
  EXPECT_EQ(powers.ys[0].shape(), (Shape{4, 1}));
  EXPECT_EQ(floats(powers.ys[0]), (Floats{1, 2, 4, 8}));
  EXPECT_EQ(powers.ys[1].data<std::int32_t>()[3], 3);
}

TEST(ControlFlow, WhileGoesOnWhileItIsTrue) {
  Session session(on_reference());
  const auto halved = [](float from) {
    return while_loop([](const Arrays& carry) { return carry[0] > 1; },
                      [](const Arrays& carry) { return Arrays{carry[0] * 0.5f, carry[1] + 1}; },
                      {Array::from({from}, {}), Array::from({0}, {})});
  };
  EXPECT_EQ(halved(100)[0].item<float>(), 0.78125f);
  EXPECT_EQ(halved(100)[1].item<int>(), 7);
  EXPECT_EQ(halved(0.5f)[0].item<float>(), 0.5f) << "not once";
}

TEST(ControlFlow, CondComputesOneBranch) {
  Session session(on_reference());
  const Array indices = Array::from({0, 99}, {2});  // taking them is an error
  const auto chosen = [&](bool which) {
    const Array x = floats_from({1, 2});
    return cond(
        Array::from({which}, {}), [](const Arrays& x) { return Arrays{x[0] + 1}; },
        [&](const Arrays& x) { return Arrays{take(x[0], indices, 0)}; }, {x})[0];
  };
  EXPECT_EQ(floats(chosen(true)), (Floats{2, 3}));
  EXPECT_NE(error_of<ExecutionError>([&] { chosen(false).bytes(); }).find("99"), std::string::npos);
}

TEST(ControlFlow, BodiesNest) {
  Session session(on_reference());
  const Array steps = Array::from({3, 0, 2}, {3});
  const Array scale = floats_from({2, 10});
  // Each element of the outer scan counts down in a loop of its own, in which a branch depends on both.
  const ScanValues values = scan(
      [&](const Arrays& outer, const Arrays& x) {
        const Arrays inner = while_loop([](const Arrays& carry) { return carry[0] > 0; },
                                        [&](const Arrays& carry) {
                                          const Arrays next = cond(
                                              x[0] > 2, [&](const Arrays& v) { return Arrays{v[0] * scale}; },
                                              [&](const Arrays& v) { return Arrays{v[0] + outer[0]}; }, {carry[1]});
                                          return Arrays{carry[0] - 1, next[0]};
                                        },
                                        {x[0], outer[0]});
        return ScanValues{{inner[1]}, {inner[0]}};
      },
      {floats_from({1, 1})}, {steps});
  EXPECT_EQ(floats(values.carry[0]), (Floats{8 * 3, 1000 * 3}));
  verify(graph_of({values.carry[0]}));
}

TEST(ControlFlow, CapturesAreOperands) {
  const Type type{DType::f32, {4}};
  const Array weight = Array::constant(test::random_buffer(type, 1), type, "w"), bias = of({4}), lazy = exp(bias);
  const ScanValues values = scan(
      [&](const Arrays& h, const Arrays& x) {
        const Array scaled = square(weight) * 3.0f;  // no iteration changes it
        return ScanValues{{h[0] * scaled + x[0] * lazy + bias * 2.0f + 7.0f}, {}};
      },
      {of({4})}, {of({5, 4})});
  const Graph graph = graph_of(values.carry);
  verify(graph);
  const GraphNode& node = only_node(graph, Op::scan);
  const Graph& body = *node.as<ScanAttrs>().body;
  EXPECT_EQ(node.inputs.size(), 5u) << "the scaled weight, the lazy array and the bias doubled are captured\n"
                                    << to_text(graph);
  EXPECT_TRUE(std::ranges::none_of(body.nodes, [](const GraphNode& inner) { return inner.op == Op::constant; }));
  EXPECT_TRUE(std::ranges::none_of(body.nodes, [](const GraphNode& inner) { return inner.op == Op::square; }));
  EXPECT_EQ(std::ranges::count(body.nodes, Op::scalar, &GraphNode::op), 1) << to_text(body);
}

TEST(ControlFlow, WhatABranchBuildsStaysInIt) {
  const Array x = of({4}), before = exp(x);
  const Arrays values = cond(
      of({}, DType::bool_), [&](const Arrays&) { return Arrays{tanh(before) * 2.0f}; },
      [&](const Arrays&) { return Arrays{x}; });
  const Graph graph = graph_of(values);
  verify(graph);
  EXPECT_EQ(op_names(graph), (std::vector<std::string_view>{"exp", "cond"}));
  EXPECT_EQ(op_names(*only_node(graph, Op::cond).as<CondAttrs>().then_body),
            (std::vector<std::string_view>{"tanh", "mul"}));
}

TEST(ControlFlow, AnyOutputOfANodeOfSeveralIsCaptured) {
  Session session(on_reference());
  const auto [values, indices] = [] {
    const Arrays both = make_node(Op::top_k, TopKAttrs{2}, {floats_from({5, 9, 7})});
    return std::pair(both[0], both[1]);
  }();
  const Arrays result =
      while_loop([&](const Arrays& carry) { return any(carry[1] - values < 10, {0}); },
                 [&](const Arrays& carry) { return Arrays{carry[0] + indices.at({0}), carry[1] + values}; },
                 {Array::from({0}, {}), floats_from({0, 0})});
  EXPECT_EQ(result[0].item<int>(), 3);
  EXPECT_EQ(floats(result[1]), (Floats{27, 21}));
}

TEST(ControlFlow, CompiledFunctionsCanBeCalledInBodies) {
  Session session(on_reference());
  const CompiledFunction doubled = compile([](const Arrays& x) { return Arrays{x[0] * 2}; });
  const ScanValues values = scan([&](const Arrays& carry, const Arrays&) { return ScanValues{doubled(carry), {}}; },
                                 {floats_from({3})}, {}, {.length = 3});
  EXPECT_EQ(floats(values.carry[0]), (Floats{24}));
}

TEST(ControlFlow, ScansThatCannotBe) {
  const auto same = [](const Arrays& carry, const Arrays&) { return ScanValues{carry, {}}; };
  EXPECT_EQ(error_of([&] { scan(same, {of({4})}); }),
            "scan: nothing gives the number of iterations, expected xs or options.length");
  EXPECT_EQ(error_of([&] { scan(same, {of({4})}, {of({})}); }), "scan: xs 0 is f32[], expected an axis 0 to go along");
  const Scope scope("layer");
  EXPECT_EQ(error_of([&] { scan(same, {of({4})}, {of({5, 2}), of({7, 3})}); }),
            "scan: xs 1 is f32[7,3], expected 5 along axis 0 (in layer)");
  EXPECT_EQ(error_of([&] { scan(same, {of({4})}, {of({5, 2})}, {.length = 6}); }),
            "scan: xs 0 is f32[5,2], expected 6 along axis 0 (in layer)");
  EXPECT_EQ(error_of([&] { scan(same, {of({4})}, {}, {.length = -1}); }),
            "scan: length is -1, expected 0 or more (in layer)");
  EXPECT_EQ(error_of([&] {
              scan([](const Arrays& carry, const Arrays&) { return ScanValues{{carry[0]}, {}}; }, {of({4}), of({2})},
                   {}, {.length = 2});
            }),
            "scan: the body gives 1 carries, expected 2 (in layer)");
  EXPECT_EQ(error_of([&] {
              scan([](const Arrays& carry, const Arrays& x) { return ScanValues{{carry[0] + x[0]}, {}}; }, {of({1})},
                   {of({3, 4})});
            }),
            "scan: carry 0 is f32[1], the body gives f32[4]; expected the same type (in layer)");
  EXPECT_EQ(
      error_of([&] {
        scan([](const Arrays& carry, const Arrays&) { return ScanValues{{carry[0], cast(carry[1], DType::f16)}, {}}; },
             {of({1}), of({2})}, {}, {.length = 1});
      }),
      "scan: carry 1 is f32[2], the body gives f16[2]; expected the same type (in layer)");
  EXPECT_EQ(error_of([&] { scan([](const Arrays&, const Arrays&) { return ScanValues{}; }, {}, {of({3})}); }),
            "scan: the body gives nothing, expected a carry or an element of ys (in layer)");
  EXPECT_EQ(
      error_of([&] { scan([](const Arrays&, const Arrays&) { return ScanValues{{}, {Array()}}; }, {}, {of({3})}); }),
      "scan: the body gives an empty array (in layer)");
}

TEST(ControlFlow, ErrorsOfCarriesAreData) {
  const auto error = test::caught([] {
    scan([](const Arrays& carry, const Arrays&) { return ScanValues{{cast(carry[0], DType::f16)}, {}}; }, {of({2})}, {},
         {.length = 1});
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::dtype);
  EXPECT_EQ(error->details().op, "scan");
  EXPECT_EQ(error->details().expected, "f32[2]");
  EXPECT_EQ(error->details().found, "f16[2]");
}

TEST(ControlFlow, LoopsAndBranchesThatCannotBe) {
  const auto same = [](const Arrays& carry) { return carry; };
  EXPECT_EQ(error_of([&] { while_loop([](const Arrays&) { return Array(true); }, same, {}); }),
            "while_loop: has no carry, expected one at least");
  EXPECT_EQ(error_of([&] { while_loop([](const Arrays& carry) { return carry[0] > 0; }, same, {of({4})}); }),
            "while_loop: the condition gives bool[4], expected bool[]");
  EXPECT_EQ(error_of([&] { while_loop([](const Arrays& carry) { return carry[0]; }, same, {of({})}); }),
            "while_loop: the condition gives f32[], expected bool[]");
  const auto positive = [](const Arrays& carry) { return carry[0] > 0; };
  EXPECT_EQ(error_of([&] { while_loop(positive, [](const Arrays& c) { return Arrays{c[0], c[0]}; }, {of({})}); }),
            "while_loop: the body gives 2 arrays, expected the 1 carries");
  EXPECT_EQ(error_of([&] { while_loop(positive, [](const Arrays&) { return Arrays{of({3})}; }, {of({})}); }),
            "while_loop: carry 0 is f32[], the body gives f32[3]; expected the same type");
  EXPECT_EQ(error_of([&] { cond(of({}), same, same, {of({2})}); }), "cond: the predicate is f32[], expected bool[]");
  EXPECT_EQ(error_of([&] { cond(of({2}, DType::bool_), same, same, {of({2})}); }),
            "cond: the predicate is bool[2], expected bool[]");
  const Array yes = of({}, DType::bool_);
  EXPECT_EQ(error_of([&] { cond(yes, same, [](const Arrays&) { return Arrays{}; }, {of({2})}); }),
            "cond: then_body gives 1 arrays, else_body 0; expected as many");
  EXPECT_EQ(error_of([&] { cond(yes, same, [](const Arrays& x) { return Arrays{sum(x[0], {0})}; }, {of({2})}); }),
            "cond: result 0 is f32[2] of then_body and f32[] of else_body; expected the same type");
  EXPECT_EQ(error_of([&] { cond(yes, same, same); }), "cond: the bodies give nothing, expected an array");
}

TEST(ControlFlow, TakesNoNamedAxis) {
  const Array named = placeholder(with_named_axis({DType::f32, {8, 4}}, 0, "tokens"));
  const auto same = [](const Arrays& carry) { return carry; };
  const auto refusal = [](std::string_view op, std::string_view found) {
    return fmt::format("{}: found {}, expected no named axis; docs/named-dimensions.md lists the ops that take one", op,
                       found);
  };
  EXPECT_EQ(error_of([&] {
              scan([](const Arrays& carry, const Arrays&) { return ScanValues{carry, {}}; }, {named}, {},
                   {.length = 2});
            }),
            refusal("scan", "f32[tokens<=8,4]"));
  EXPECT_EQ(error_of([&] { scan([](const Arrays&, const Arrays& x) { return ScanValues{{}, x}; }, {}, {named}); }),
            refusal("scan", "f32[tokens<=8,4]"));
  EXPECT_EQ(error_of([&] {
              scan([&](const Arrays& carry, const Arrays&) { return ScanValues{carry, {named}}; }, {of({})}, {},
                   {.length = 2});
            }),
            refusal("scan", "f32[], f32[tokens<=8,4]"));
  EXPECT_EQ(error_of([&] { while_loop([](const Arrays&) { return Array(false); }, same, {named}); }),
            refusal("while_loop", "f32[tokens<=8,4]"));
  EXPECT_EQ(error_of([&] { cond(of({}, DType::bool_), same, same, {named}); }),
            refusal("cond", "bool[], f32[tokens<=8,4]"));
}

Arrays nested(int depth, const Arrays& carry) {
  if (depth == 0) return {carry[0] * 2};
  return scan([&](const Arrays& inner, const Arrays&) { return ScanValues{nested(depth - 1, inner), {}}; }, carry, {},
              {.length = 1})
      .carry;
}

TEST(ControlFlow, NestsUpToADepth) {
  const Graph graph = graph_of(nested(max_body_depth, {of({2})}));
  verify(graph);
  EXPECT_EQ(to_text(parse_graph(to_text(graph))), to_text(graph));
  EXPECT_EQ(error_of([] { nested(max_body_depth + 1, {of({2})}); }), "scan: bodies nest deeper than 8");
}

TEST(ControlFlow, AnErrorInABodyNamesItsOp) {
  Session session(on_reference());
  const Array x = floats_from({1, 2, 3});
  const ScanValues values =
      scan([&](const Arrays& carry, const Arrays& index) { return ScanValues{{carry[0] + take(x, index[0], 0)}, {}}; },
           {Array::from({0.0f}, {})}, {Array::from({0, 7}, {2})});
  const auto error = test::caught<ExecutionError>([&] { values.carry[0].bytes(); });
  ASSERT_TRUE(error);
  EXPECT_NE(std::string(error->what()).find("take"), std::string::npos) << error->what();
  EXPECT_EQ(error->details().op, "scan");
}

TEST(ControlFlow, LimitsEndALoopWithoutEnd) {
  Session session(on_reference());
  const Arrays forever =
      while_loop([](const Arrays& carry) { return carry[0] > 0; },
                 [](const Arrays& carry) { return Arrays{carry[0] * 1.0f}; }, {Array::from({1.0f}, {})});
  const RunLimits soon{.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20)};
  const auto error = test::caught<ExecutionError>([&] { session.eval(forever[0], soon); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::deadline);
  EXPECT_EQ(error->details().op, "while_loop");
}

TEST(ControlFlowText, RoundTrips) {
  const Array weight = of({4});
  const Arrays values =
      while_loop([](const Arrays& carry) { return carry[0] < 9; },
                 [&](const Arrays& carry) {
                   const Scope scope("inner");
                   const ScanValues inner = scan(
                       [&](const Arrays& h, const Arrays& x) { return ScanValues{{h[0] + x[0] * weight}, {x[0]}}; },
                       {carry[1]}, {carry[2]}, {.reverse = true});
                   return Arrays{carry[0] + 1, inner.carry[0], inner.ys[0]};
                 },
                 {of({}, DType::i32), of({4}), of({3, 4})});
  const Graph graph = graph_of(values);
  const std::string text = to_text(graph);
  const Graph parsed = parse_graph(text);
  EXPECT_EQ(to_text(parsed), text);
  EXPECT_EQ(structural_key(parsed), structural_key(graph));
  EXPECT_EQ(only_node(parsed, Op::while_loop).attrs, only_node(graph, Op::while_loop).attrs);
  verify(parsed);
}

constexpr const char* doubling = R"(%0 = input {index=0} : f32[4]
%1 = scan %0 {length=3, carries=1, sequences=0, reverse=false} : f32[4] body {
  %0 = input {index=0} : f32[4]
  %1 = add %0, %0 : f32[4]
  return %1
}
return %1
)";

TEST(ControlFlowText, PrintsAsDocumented) {
  const Graph graph = parse_graph(doubling);
  EXPECT_EQ(to_text(graph), doubling);
  EXPECT_EQ(count_operations(graph, graph.nodes[1]), 12);
}

TEST(ControlFlowText, WhatIsWrong) {
  const auto with = [](std::string_view old, std::string_view other) {
    std::string text = doubling;
    return error_of([&] { parse_graph(text.replace(text.find(old), old.size(), other)); });
  };
  EXPECT_NE(with("body {", "{").find("expected 'body {'"), std::string::npos);
  EXPECT_NE(with("f32[4] body", "f32[5] body").find("the type of scan is written f32[5], inferred f32[4]"),
            std::string::npos);
  EXPECT_NE(with("carries=1", "carries=2").find("has 2 carries, expected 0 to 1"), std::string::npos);
  EXPECT_NE(with("{index=0} : f32[4]\n  %1", "{index=77} : f32[4]\n  %1").find("has input 77, found 1 operands"),
            std::string::npos);
}

TEST(ControlFlowText, BodiesOfBrokenGraphsAreRefused) {
  Graph graph = parse_graph(doubling);
  graph.nodes[1].attrs = ScanAttrs{3, 1, 0, false, {}};
  EXPECT_NE(error_of([&] { verify(graph); }).find("has no body"), std::string::npos);
  Graph body = *parse_graph(doubling).nodes[1].as<ScanAttrs>().body;
  body.nodes[1].inputs[0].node = 7;
  graph.nodes[1].attrs = ScanAttrs{3, 1, 0, false, BodyRef(body)};
  EXPECT_NE(error_of([&] { verify(graph); }).find("body of %1 scan : f32[4]: %1 add : f32[4]: operand 0 is node 7"),
            std::string::npos);
}

TEST(ControlFlowText, PicturesShowBodies) {
  const Graph graph = parse_graph(doubling);
  EXPECT_NE(to_json(graph, "built").find(R"("body":["add"])"), std::string::npos) << to_json(graph, "built");
  EXPECT_NE(to_dot(graph).find("body: add"), std::string::npos) << to_dot(graph);
  EXPECT_NE(to_dot(graph).find("body: 1 add(0, 0); gives 1"), std::string::npos) << to_dot(graph);
  EXPECT_NE(to_model_explorer(graph, "g").find("add"), std::string::npos);
}

TEST(ControlFlowText, IsSavedAndLoaded) {
  Session session(on_reference());
  const Type type{DType::f32, {4}};
  const Array weight = Array::constant(test::random_buffer(type, 1), type, "w"), x = test::counting(DType::f32, {4});
  const CompiledFunction function = compile([&](const Arrays& arguments) {
    return scan([&](const Arrays& h, const Arrays&) { return ScanValues{{h[0] * weight + 0.25f}, {h[0]}}; }, arguments,
                {}, {.length = 3})
        .ys;
  });
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "lazuli_control_flow_test.safetensors";
  save(function, {x}, path);
  const CompiledFunction loaded = load(path);
  std::filesystem::remove(path);
  EXPECT_EQ(floats(loaded({x})[0]), floats(function({x})[0]));
}

TEST(ControlFlowNumbers, OfBodiesHaveSlots) {
  const auto graph = [](float number) {
    return graph_of(
        scan([&](const Arrays& h, const Arrays&) { return ScanValues{{rms_norm(h[0], 1e-3) * number}, {}}; }, {of({4})},
             {}, {.length = 3})
            .carry);
  };
  EXPECT_EQ(structural_key(graph(2), NumberKey::none), structural_key(graph(3), NumberKey::none));
  EXPECT_NE(structural_key(graph(2)), structural_key(graph(3)));
  EXPECT_EQ(number_values(graph(3)).size(), 2u);
  const Graph slotted = with_slots(graph(2));
  const Graph literal = with_literals(slotted, std::vector{0.5, 7.0});
  const std::string text = to_text(literal);
  EXPECT_NE(text.find("value=7"), std::string::npos) << text;
  EXPECT_NE(text.find("epsilon=0.5"), std::string::npos) << text;
  EXPECT_NE(structural_key(slotted, NumberKey::values_and_slots),
            structural_key(graph(2), NumberKey::values_and_slots));
}

TEST(ControlFlowNumbers, ANewValueCompilesNothing) {
  Session session(on_reference());
  for (const float decay : {0.5f, 0.25f, 2.0f}) {
    const ScanValues values = filtered(floats_from({1, 2}), decay);
    EXPECT_EQ(values.carry[0].item<float>(), (decay + 1) * decay + 2);
  }
  EXPECT_EQ(session.statistics().programs, 1);
}

TEST(ControlFlowNumbers, CompileTracesAndCompilesOnce) {
  Session session(on_reference());
  int traced = 0;
  const CompiledFunction function = compile([&](const Arrays& arguments) {
    const ScanValues values = scan(
        [&](const Arrays& h, const Arrays& x) {
          ++traced;
          return ScanValues{{h[0] + x[0]}, {h[0]}};
        },
        {arguments[0]}, {arguments[1]});
    return Arrays{values.carry[0]};
  });
  for (int time = 0; time < 3; ++time)
    EXPECT_EQ(floats(function({floats_from({1}), Array::from({1.0f, 2.0f, 3.0f}, {3, 1})})[0]), (Floats{7}));
  EXPECT_EQ(traced, 1);
  EXPECT_EQ(session.statistics().programs, 1);
}

}  // namespace
}  // namespace lazuli
