// SPDX-License-Identifier: MIT
// Custom ops as nodes: what they may say, when they are equal, and how they look in text and pictures.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/custom_op_calls.h>
#include <lazuli/graph/operations.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/pictures/alike.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/tests/support/custom_ops.h>
#include <lazuli/tests/support/error_of.h>

#include <charconv>

namespace lazuli {
namespace {

using test::error_of;
using test::OwnOp;
using test::Snake;

Array input(Shape shape, DType dtype = DType::f32) { return placeholder({dtype, std::move(shape)}); }

std::shared_ptr<OwnOp> own() {
  auto op = std::make_shared<OwnOp>();
  op->kernel = [](const CustomRows&) {};
  return op;
}

std::string error_of_types(std::vector<Type> results, RowRule rule = RowRule::none, std::vector<Array> operands = {}) {
  const auto op = own();
  op->rule = rule;
  op->types = [=](std::span<const Type>) { return results; };
  if (operands.empty()) operands = {input({4, 8}), input({8})};
  return error_of([&] { custom_results(op, operands); });
}

TEST(CustomOp, InfersAtTheCallersLine) {
  const auto op = std::make_shared<Snake>(2);
  EXPECT_EQ(custom(op, {input({3, 5}, DType::bf16)}).type(), (Type{DType::bf16, {3, 5}}));
  const Scope scope("layers", 3);
  EXPECT_EQ(error_of([&] { custom(op, {input({2}, DType::i32)}); }),
            "snake: operand 0 is i32[2], expected one real array (in layers.3)");
  EXPECT_EQ(error_of([&] { custom(op, {}); }), "snake: 0 operands given, expected 1 to 64 (in layers.3)");
}

TEST(CustomOp, WhateverInferThrowsIsAnError) {
  const auto op = own();
  op->types = [](std::span<const Type>) -> std::vector<Type> { throw std::out_of_range("no such axis"); };
  EXPECT_EQ(error_of([&] { custom(op, {input({2})}); }), "own: no such axis");
  op->types = [](std::span<const Type>) -> std::vector<Type> { throw 7; };
  EXPECT_EQ(error_of([&] { custom(op, {input({2})}); }), "own: threw something that is no std::exception");
}

TEST(CustomOp, ResultTypesAreChecked) {
  EXPECT_EQ(error_of_types({}), "own: infer() gives 0 results, expected 1 to 64");
  EXPECT_EQ(error_of_types(std::vector<Type>(65)), "own: infer() gives 65 results, expected 1 to 64");
  EXPECT_EQ(error_of_types({{DType::f32, {2, -1}}}),
            "own: infer() gives f32[2,-1] as result 0, expected no negative size");
  EXPECT_EQ(error_of_types({{DType::q8_0, {2, 33}}}),
            "own: infer() gives q8_0[2,33] as result 0, expected whole blocks of 32");
}

TEST(CustomOp, TypesFollowTheRowRule) {
  const Type wide{DType::f32, {4, 9}}, other{DType::f32, {3, 9}};
  EXPECT_EQ(error_of_types({wide}, RowRule::leading), "no error");
  EXPECT_EQ(error_of_types({other}, RowRule::leading),
            "own: operand 0 is f32[4,8], the result f32[3,9]; with leading rows they differ in the last axis alone");
  EXPECT_EQ(error_of_types({{DType::f32, {}}}, RowRule::leading, {input({})}),
            "own: operand 0 is f32[], the result f32[]; with leading rows they differ in the last axis alone");
  EXPECT_EQ(error_of_types({wide, other}, RowRule::leading),
            "own: results are f32[4,9], f32[3,9]; with rows they differ in the last axis alone");
  EXPECT_EQ(error_of_types({wide}, RowRule::aligned, {input({4, 8}), input({1, 3}), input({})}), "no error");
  EXPECT_EQ(error_of_types({wide}, RowRule::aligned, {input({4, 8}), input({3, 8})}),
            "own: operand 1 is f32[3,8], the result f32[4,9]; with aligned rows the axes before the last broadcast to "
            "the result's");
}

TEST(CustomOp, NamesAreTheirOwn) {
  const auto error_of_name = [](std::string name) {
    const auto op = own();
    op->called = std::move(name);
    return error_of([&] { custom(op, {input({2})}); });
  };
  EXPECT_EQ(error_of_name("gelu"), "custom: the op's name is \"gelu\", which is that of an op of lazuli's");
  EXPECT_EQ(error_of_name("custom"), "custom: the op's name is \"custom\", which is that of an op of lazuli's");
  for (const char* name : {"", "2x", "my op", "my-op"})
    EXPECT_EQ(error_of_name(name), fmt::format("custom: the op's name is \"{}\", expected letters, digits and "
                                               "underscores, no digit first",
                                               name));
  EXPECT_EQ(error_of([] { custom(std::shared_ptr<const CustomOp>(), {input({2})}); }), "custom: no op was given");
}

TEST(CustomOp, AttributesAndRuleAreChecked) {
  for (const char* text : {"a={1}", "a=1\n", " a=1", "a=1 ", "a=é"}) {
    const auto op = own();
    op->text = text;
    EXPECT_EQ(
        error_of([&] { custom(op, {input({2})}); }),
        fmt::format("own: attributes() are \"{}\", expected printable ASCII without braces, no space at either end",
                    text));
  }
  const auto op = own();
  op->rule = RowRule::planes;
  EXPECT_EQ(error_of([&] { custom(op, {input({2})}); }),
            "own: rows() is the rule of an op of lazuli's, expected none, leading or aligned");
}

TEST(CustomOp, OneResultOrAll) {
  const auto op = std::make_shared<test::Centre>();
  EXPECT_EQ(custom_results(op, {input({4, 8}), input({8})})[1].type(), (Type{DType::f32, {4, 1}}));
  EXPECT_EQ(error_of([&] { custom(op, {input({4, 8}), input({8})}); }),
            "centre: has 2 results, expected 1; custom_results gives them all");
}

TEST(CustomOp, DefinitionsAreChecked) {
  const auto op = std::make_shared<OwnOp>();
  const auto error = [&](OwnOp::Parts parts) {
    op->parts = std::move(parts);
    const Scope scope("mlp");
    return error_of([&] { custom(op, {input({2, 3})}); });
  };
  EXPECT_EQ(error({}), "own: no kernel and no decomposition for f32[2,3] (in mlp)");
  EXPECT_EQ(error([](std::span<const Array> x) { return std::vector{exp(x[0])}; }), "no error");
  EXPECT_EQ(error([](std::span<const Array> x) { return std::vector{sum(x[0], {0})}; }),
            "own: decompose(): gives f32[3], expected f32[2,3], as infer() has it (in mlp)");
  EXPECT_EQ(error([](std::span<const Array>) { return std::vector<Array>{}; }),
            "own: decompose(): gives nothing, expected f32[2,3], as infer() has it (in mlp)");
  EXPECT_EQ(error([](std::span<const Array>) { return std::vector{Array()}; }),
            "own: decompose(): an empty array was used (in mlp)");
  const Array other = Array::from({1.0f, 2.0f, 3.0f}, {3});
  EXPECT_EQ(error([=](std::span<const Array> x) { return std::vector{x[0] + other}; }),
            "own: decompose(): reads f32[3], which is no operand; expected operands and constants alone (in mlp)");
}

// Scopes of the caller are not the definition's, and constants are.
TEST(CustomOp, DefinitionsMayReadConstants) {
  const BufferRef data = Buffer::allocate(3 * sizeof(float));
  const Array weight = Array::constant(data, {DType::f32, {3}}, "w");
  const auto op = std::make_shared<OwnOp>();
  op->parts = [=](std::span<const Array> x) { return std::vector{x[0] * weight}; };
  const Graph definition = decomposition(Op::custom, CustomAttrs{op}, std::vector<Type>{{DType::f32, {2, 3}}});
  EXPECT_NO_THROW(verify(definition));
  EXPECT_EQ(definition.inputs().size(), 1U);
}

std::string key_of(const CustomOpRef& op) {
  std::string key;
  append_key(CustomAttrs{op}, key);
  return key;
}

void expect_equal(const CustomOpRef& a, const CustomOpRef& b, bool equal) {
  EXPECT_EQ(a == b, equal);
  EXPECT_EQ(key_of(a) == key_of(b), equal);
}

TEST(CustomOp, EqualOnesAreInterchangeable) {
  const auto snake = std::make_shared<Snake>(2);
  expect_equal(snake, snake, true);
  expect_equal(snake, std::make_shared<Snake>(2), true);
  expect_equal(snake, std::make_shared<Snake>(3), false);
  expect_equal(std::make_shared<test::Centre>(), std::make_shared<test::Centre>(), true);  // no members
  expect_equal(CustomOpRef(), CustomOpRef(), true);
  expect_equal(CustomOpRef(), snake, false);
}

TEST(CustomOp, MembersWithoutAttributesKeepObjectsApart) {
  const auto first = own();
  expect_equal(first, first, true);
  expect_equal(first, own(), false);
  expect_equal(first, std::shared_ptr<const CustomOp>(first), true);
  // What the class is cannot be seen through a pointer to the base.
  const std::shared_ptr<const CustomOp> hidden = std::make_shared<test::Centre>();
  expect_equal(hidden, hidden, true);
  expect_equal(hidden, std::make_shared<test::Centre>(), false);
}

TEST(CustomOp, ClassesOfOneNameDiffer) {
  class OtherSnake final : public Snake {
   public:
    using Snake::Snake;
  };
  expect_equal(std::make_shared<Snake>(2), std::make_shared<OtherSnake>(2), false);
}

TEST(CustomOp, CopiesAreObjectsOfTheirOwn) {
  const Snake snake(2);
  const Snake copy = snake;
  EXPECT_NE(snake.id(), copy.id());
}

ParseOptions known_ops() {
  ParseOptions options;
  options.custom_ops["centre"] = [](std::string_view) { return std::make_shared<test::Centre>(); };
  options.custom_ops["snake"] = [](std::string_view text) {
    double frequency = 1;
    constexpr std::string_view field = "frequency=";
    if (!text.empty() &&
        (!text.starts_with(field) ||
         std::from_chars(text.data() + field.size(), text.data() + text.size(), frequency).ec != std::errc()))
      throw Error(fmt::format("attributes are '{}', expected frequency=number", text));
    return std::make_shared<Snake>(frequency);
  };
  return options;
}

constexpr std::string_view text_form = R"(%0 = input {index=0} : f32[4,8]
%1 = constant "w" : f32[8]
%2 = snake %0 {frequency=2.5} : f32[4,8] @mlp
%3, %4 = centre %2, %1 : f32[4,8], f32[4,1]
%5 = add %3, %4 : f32[4,8] !from 2:snake, 3:add
return %5
)";

TEST(CustomOp, TextRoundTrips) {
  const Graph graph = parse_graph(text_form, known_ops());
  EXPECT_NO_THROW(verify(graph));
  EXPECT_EQ(to_text(graph), text_form);
  EXPECT_EQ(structural_key(parse_graph(to_text(graph), known_ops())), structural_key(graph));
  EXPECT_EQ(graph.nodes[2].name(), "snake");
  EXPECT_EQ(graph.nodes[4].from[0].name(), "snake");
}

TEST(CustomOp, BuiltGraphsPrintTheSame) {
  const Array x = input({4, 8});
  const std::string text = to_text(graph_of({custom(std::make_shared<Snake>(2.5), {x})}));
  EXPECT_EQ(text,
            "%0 = input {index=0} : f32[4,8]\n"
            "%1 = snake %0 {frequency=2.5} : f32[4,8]\n"
            "return %1\n");
}

TEST(CustomOp, TextErrorsSayWhere) {
  const auto error = [](std::string_view text, const ParseOptions& options) {
    return error_of([&] { parse_graph(text, options); });
  };
  constexpr std::string_view head = "%0 = input f32[2]\n";
  const auto of_node = [&](std::string_view node) {
    return error(fmt::format("{}%1 = {}\nreturn %1", head, node), known_ops());
  };
  EXPECT_TRUE(error(text_form, {}).starts_with("line 3, column 6: unknown op 'snake'; expected an op of ops.def"));
  EXPECT_EQ(
      of_node("snak %0"),
      "line 2, column 6: unknown op 'snak'; expected an op of ops.def or of ParseOptions::custom_ops, did you mean "
      "'snake'?");
  EXPECT_TRUE(of_node("custom %0").starts_with("line 2, column 6: unknown op 'custom'; expected an op of ops.def"));
  EXPECT_EQ(of_node("snake"), "line 2, column 6: snake takes 1 to 64 operands, found 0");
  EXPECT_EQ(of_node("snake %0 {slope=2}"),
            "line 2, column 15: snake: attributes are 'slope=2', expected frequency=number");
  EXPECT_EQ(of_node("snake %0 {frequency=2"), "line 2, column 16: the attributes have no closing '}' on their line");
  EXPECT_EQ(of_node("snake %0 : f32[3]"), "line 2, column 17: the type of snake is written f32[3], inferred f32[2]");
  EXPECT_EQ(of_node("centre %0, %0"), "line 2, column 1: centre gives 2 results, found 1 names");
  ParseOptions wrong;
  wrong.custom_ops["sneak"] = [](std::string_view) { return std::make_shared<Snake>(2); };
  EXPECT_EQ(error(fmt::format("{}%1 = sneak %0\nreturn %1", head), wrong),
            "line 2, column 14: the op made for 'sneak' is called 'snake'");
}

TEST(CustomOp, PicturesShowName) {
  const Graph graph = parse_graph(text_form, known_ops());
  const std::string dot = to_dot(graph), json = to_json(graph, "built");
  EXPECT_NE(dot.find("<B>snake</B>"), std::string::npos) << dot;
  EXPECT_NE(dot.find("frequency=2.5"), std::string::npos);
  EXPECT_NE(dot.find("node 2: snake {frequency=2.5}"), std::string::npos);
  EXPECT_NE(dot.find("replaces snake · add"), std::string::npos);
  EXPECT_NE(json.find("\"op\":\"snake\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"attrs\":{\"attributes\":\"frequency=2.5\"}"), std::string::npos);
  EXPECT_NE(json.find("\"op\":\"centre\""), std::string::npos);
}

Array in_scope(std::string_view name) {
  const Scope scope(name);
  return exp(input({4, 8}));
}

TEST(CustomOp, LayersAreAlikeByOpAndAttributes) {
  const auto layers = [](double second) {
    Array x = in_scope("embed");  // without a scope it would belong to the layer that reads it
    for (int i = 0; i < 2; ++i) {
      const Scope scope("layers", i);
      x = custom(std::make_shared<Snake>(i == 0 ? 2 : second), {x});
    }
    return alike_layers(graph_of({x})).size();
  };
  EXPECT_EQ(layers(2), 1U);
  EXPECT_EQ(layers(3), 2U);
}

TEST(CustomOp, CountsOneOperationAnElement) {
  const Graph graph = parse_graph(text_form, known_ops());
  EXPECT_EQ(count_operations(graph, graph.nodes[2]), 32);
  EXPECT_EQ(count_operations(graph, graph.nodes[3]), 36);
}

TEST(CustomOp, VerifyNamesIt) {
  Graph graph = parse_graph(text_form, known_ops());
  graph.nodes[2].types[0].shape[0] = 3;
  EXPECT_EQ(error_of([&] { verify(graph, "test"); }),
            "after test: %2 snake : f32[3,8]: its type does not follow from its operands, expected f32[4,8] (in mlp)");
}

TEST(CustomOp, RowsBroadcast) {
  const Type result{DType::f32, {2, 3, 4}}, plane{DType::f32, {3, 4}}, column{DType::f32, {2, 1, 1}};
  const Type table{DType::f32, {5, 4}}, scalar{DType::i32, {}};
  std::vector<float> memory(24);
  std::iota(memory.begin(), memory.end(), 0.0f);
  auto* data = reinterpret_cast<std::byte*>(memory.data());
  const std::vector<CustomArray> operands{
      {&result, data}, {&plane, data}, {&column, data}, {&table, data}, {&scalar, data}};
  const CustomRows rows(operands, {operands.data(), 1}, 0, 6);
  EXPECT_EQ(rows.operand_row<float>(0, 4)[0], 16);
  EXPECT_EQ(rows.operand_row<float>(1, 4)[0], 4);
  EXPECT_EQ(rows.operand_row<float>(2, 4)[0], 1);
  EXPECT_EQ(rows.operand_row<float>(2, 4).size(), 1U);
  EXPECT_EQ(rows.operand_row<std::int32_t>(4, 4)[0], 0);
  EXPECT_EQ(rows.operand<std::byte>(1).size(), 48U);
  EXPECT_EQ(error_of([&] { rows.operand_row<float>(3, 4); }),
            "operand 3 is f32[5,4], which has no row for each of f32[2,3,4]");
  EXPECT_EQ(error_of([&] { rows.result<std::int32_t>(); }), "data: the array is f32[2,3,4], expected i32");
}

}  // namespace
}  // namespace lazuli
