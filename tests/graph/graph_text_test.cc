// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/tests/support/error_of.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>

namespace lazuli {
namespace {

void expect_same(const Graph& a, const Graph& b) {
  EXPECT_EQ(a.phase, b.phase);
  EXPECT_EQ(a.outputs, b.outputs);
  EXPECT_EQ(a.output_names, b.output_names);
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    const GraphNode &x = a.nodes[i], &y = b.nodes[i];
    SCOPED_TRACE(fmt::format("node {} {}", i, x.name()));
    EXPECT_EQ(x.op, y.op);
    EXPECT_EQ(x.attrs, y.attrs);
    EXPECT_EQ(x.inputs, y.inputs);
    EXPECT_EQ(x.types, y.types);
    EXPECT_EQ(x.label, y.label);
    EXPECT_EQ(x.from, y.from);
    ASSERT_EQ(x.scope == nullptr, y.scope == nullptr);
    EXPECT_EQ(x.scope ? *x.scope : "", y.scope ? *y.scope : "");
    ASSERT_EQ(x.body == nullptr, y.body == nullptr);
    if (x.body) expect_same(*x.body, *y.body);
  }
}

void expect_round_trip(const Graph& graph) {
  const std::string text = to_text(graph);
  SCOPED_TRACE(text.substr(0, 4000));
  const Graph parsed = parse_graph(text);
  expect_same(graph, parsed);
  EXPECT_EQ(to_text(parsed), text);
}

std::string parse_error(std::string_view text) {
  return test::error_of([&] { parse_graph(text); });
}

constexpr const char* operands = R"(
%x = input f32[2,4,8]
%b = input bool[2,4,8]
%i = input i32[4]
%n = input i32[]
%yes = input bool[]
%w = constant q8_0[16,32]
%y = input f32[5,32]
%q = input f32[4,4,8]
%k = input f16[16,2,8]
%factors = input f32[4]
%gain = input f32[8]
%planes = input f32[2,3,8]
%mix = input f32[3,4]
%plane = input f32[3,8]
%weights = input f32[3,2]
%slots = input f32[3,1,8]
%stack = input f32[5,4,8]
%experts = input i32[3,2]
)";

// What stands after "=" for the ops that need more than operands of one shape.
const std::map<std::string_view, std::string>& statements() {
  static const std::map<std::string_view, std::string> table = {
      {"input", "input \"x\" {index=9} : f32[4,2048]"},
      {"constant", "constant \"blk.0.ffn_gate.weight\" : q4_k[2,256]"},
      {"scalar", "scalar {value=0.1, dtype=bf16}"},
      {"iota", "iota {size=7, dtype=i64}"},
      {"random_uniform", "random_uniform {shape=[2,3], dtype=f32, key=-4}"},
      {"random_normal", "random_normal {shape=[], dtype=f16, key=9223372036854775807}"},
      {"cast", "cast %x {dtype=bf16}"},
      {"select", "select %b, %x, %x"},
      {"sum", "sum %x {axes=[0,2], keep_dims=true}"},
      {"mean", "mean %x {axes=[2], keep_dims=false}"},
      {"max", "max %x {axes=[1]}"},
      {"min", "min %x {axes=[0,1,2]}"},
      {"prod", "prod %x {axes=[1]}"},
      {"any", "any %b {axes=[1], keep_dims=true}"},
      {"all", "all %b {axes=[1]}"},
      {"argmax", "argmax %x {axis=1}"},
      {"cumsum", "cumsum %x {axis=1, reverse=true, exclusive=true}"},
      {"layer_norm", "layer_norm %x, %gain, %gain {epsilon=1e-06}"},
      {"reshape", "reshape %x {shape=[8,8]}"},
      {"transpose", "transpose %x {permutation=[2,0,1]}"},
      {"slice", "slice %x {begin=[0,1,0], end=[2,3,8], step=[1,1,2]}"},
      {"broadcast_to", "broadcast_to %gain {shape=[3,8]}"},
      {"concatenate", "concatenate %x, %x, %x {axis=2}"},
      {"slice_update", "slice_update %y, %y, %n {axis=0, ring=true}"},
      {"take", "take %x, %i {axis=1}"},
      {"gather", "gather %gain, %i {axis=0}"},
      {"as_strided", "as_strided %x {shape=[3,4], strides=[8,-1], offset=3}"},
      {"pad", "pad %x, -0.5 {before=[0,1,0], after=[2,0,3]}"},
      {"gather_nd", "gather_nd %slots, %experts {batch_dims=1}"},
      {"scatter", "scatter %i, %i, %i {axis=0, reduction=max}"},
      {"scatter_nd", "scatter_nd %planes, %experts, %plane {reduction=add}"},
      {"quantise", "quantise %y {dtype=q8_0}"},
      {"dequantise", "dequantise %w"},
      {"matmul", "matmul %plane, %transposed"},
      {"linear", "linear %y, %w"},
      {"expert_linear", "expert_linear %slots, %stack, %experts"},
      {"softcap", "softcap %x {cap=30}"},
      {"softmax", "softmax %x {axis=2}"},
      {"rms_norm", "rms_norm %x, %gain {epsilon=1e-06}"},
      {"rope", "rope %q, %i, %factors {base=1000000, scale=0.125, rotated_pairs=2}"},
      {"attention", "attention %q, %k, %k, %i, %n {scale=0.0625, window=512}"},
      {"altup_predict", "altup_predict %planes, %mix {active=1}"},
      {"altup_correct", "altup_correct %planes, %plane, %weights {active=0}"},
      {"convolution",
       "convolution %x, %stack {stride=[2], padding_low=[-1], padding_high=[3], kernel_dilation=[1], "
       "input_dilation=[2], groups=1, flip=true}"},
      {"max_pool",
       "max_pool %x {kernel=[2], stride=[1], padding_low=[0], padding_high=[1], dilation=[2], ceil_mode=true}"},
      {"mean_pool",
       "mean_pool %x {kernel=[2], stride=[1], padding_low=[1], padding_high=[0], dilation=[1], ceil_mode=false, "
       "count_include_pad=false}"},
      {"adaptive_max_pool", "adaptive_max_pool %x {size=[3]}"},
      {"adaptive_mean_pool", "adaptive_mean_pool %x {size=[1]}"},
      {"interpolate", "interpolate %x {size=[9], order=3, slope=[8], offset=[-5], denominator=[18]}"},
      {"scan",
       "scan %gain, %plane, %gain {length=3, carries=1, sequences=1, reverse=true} body {\n %a = input f32[8]\n %b = "
       "input "
       "f32[8]\n %c = input f32[8]\n %d = mul %a, %c\n %e = add %d, %b\n return %e\n}"},
      {"while_loop",
       "while_loop %n, %i {carries=1} condition {\n %a = input i32[]\n %b = input i32[4]\n %c = less %a, 7\n return "
       "%c\n} body {\n %a = input i32[]\n %b = input i32[4]\n %c = add %a, 2\n return %c\n}"},
      {"cond",
       "cond %yes, %x then_body {\n %a = input f32[2,4,8]\n return %a\n} else_body {\n %a = input f32[2,4,8]\n %b = "
       "neg %a\n return %b\n}"},
      {"fused", "fused %x {name=\"two words\"} : f32[2,4,8] {\n %a = input f32[2,4,8]\n %b = square %a\n return %b\n}"},
  };
  return table;
}

std::string statement(const OpInfo& op) {
  if (op.name == "top_k") return "%r, %indices = top_k %x {k=8}";
  if (const auto known = statements().find(op.name); known != statements().end()) return "%r = " + known->second;
  const bool logical = op.name.starts_with("logical");
  const bool integers = op.name.starts_with("bitwise") || op.name.ends_with("shift");
  const char* operand = logical ? "%b" : integers ? "%i" : "%x";
  const std::string text = fmt::format("%r = {} {}", op.name, operand);
  return op.min_operands == 2 ? fmt::format("{}, {}", text, operand) : text;
}

TEST(GraphText, EveryOpRoundTrips) {
  for (const OpInfo& op : all_ops()) {
    if (op.op == Op::custom) continue;  // stands under the names of the caller's ops: custom_op_test.cc
    SCOPED_TRACE(op.name);
    const std::string text =
        fmt::format("{}%transposed = transpose %plane {{permutation=[1,0]}}\n{}\nreturn %r\n", operands, statement(op));
    const Graph graph = parse_graph(text);
    EXPECT_EQ(graph.node(graph.outputs[0]).op, op.op);
    expect_round_trip(graph);
  }
}

TEST(GraphText, PrintsAsDocumented) {
  const std::string text = R"(graph {phase=decode}
%0 = input "x" {index=0} : f32[4,2048]
%1 = constant "blk.0.ffn_gate.weight" : q4_0[8192,2048]
%2 = linear %0, %1 : f32[4,8192] @layers.0.mlp
%3, %4 = top_k %2 {k=8} : f32[4,8], i32[4,8] !from 7:top_k
%5 = fused %2, %2 {name=gelu_mul} : f32[4,8192] @layers.0.mlp !from 3:gelu_tanh, 4:mul {
  %0 = input {index=0} : f32[4,8192]
  %1 = input {index=1} : f32[4,8192]
  %2 = gelu_tanh %0 : f32[4,8192]
  %3 = mul %2, %1 : f32[4,8192] !from 4:mul
  return %3
}
%6 = neg %5 : f32[4,8192] !from none
return %5 "logits", %4 "", %6 "negated"
)";
  const Graph graph = parse_graph(text);
  EXPECT_EQ(to_text(graph), text);
  expect_round_trip(graph);
  EXPECT_EQ(graph.phase, Phase::decode);
  EXPECT_EQ(graph.outputs[1], (ValueId{3, 1}));
  EXPECT_EQ(graph.nodes[2].from, (std::vector<Source>{{2, Op::linear}}));
  EXPECT_EQ(graph.nodes[4].from, (std::vector<Source>{{3, Op::gelu_tanh}, {4, Op::mul}}));
  EXPECT_TRUE(graph.nodes[5].from.empty());
  EXPECT_EQ(graph.nodes[2].scope, graph.nodes[4].scope) << "one scope is one string";
}

TEST(GraphText, EmptyGraphRoundTrips) { expect_round_trip(Graph{}); }

TEST(GraphText, NamesAreEscaped) {
  const std::string odd = std::string("a \"b\" \\ c\nd\te\r\x01\x7f\xff ünï # %0 }") + '\0' + "end";
  Graph graph;
  GraphNode input;
  input.attrs = InputAttrs{0};
  input.types = {{DType::f32, {2}}};
  input.label = odd;
  input.scope = std::make_shared<const std::string>(odd);
  graph.outputs = {graph.add(input)};
  graph.output_names = {odd};
  expect_round_trip(graph);
  graph.nodes[0].scope = std::make_shared<const std::string>("");
  expect_round_trip(graph);
}

TEST(GraphText, NumbersAreExact) {
  const double values[] = {0.1,
                           -0.0,
                           1e-300,
                           5e-324,
                           1.7976931348623157e308,
                           9007199254740992.0,
                           1.0 / 3,
                           std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()};
  for (double value : values) {
    Graph graph;
    GraphNode scalar;
    scalar.op = Op::scalar;
    scalar.attrs = ScalarAttrs{value, DType::f64};
    scalar.types = {{DType::f64, {}}};
    graph.outputs = {graph.add(scalar)};
    expect_round_trip(graph);
    EXPECT_EQ(std::signbit(parse_graph(to_text(graph)).nodes[0].as<ScalarAttrs>().value.value), std::signbit(value));
  }
  const Graph nan = parse_graph("%0 = scalar {value=nan}\nreturn %0");
  EXPECT_TRUE(std::isnan(parse_graph(to_text(nan)).nodes[0].as<ScalarAttrs>().value.value));
}

TEST(GraphText, TakesWhatPeopleWrite) {
  const Graph graph = parse_graph(R"(
# a softcap, spelled out
%logits = input f32[2,8]        # no index, no colon
%other  = input : f32[8]

%scaled = div %logits, 30.0
%capped = tanh %scaled          # the type is inferred
%out.1  = mul 30, %capped
return %out.1, %other)");
  ASSERT_EQ(graph.nodes.size(), 7u);
  EXPECT_EQ(graph.nodes[1].as<InputAttrs>().index, 1);
  EXPECT_EQ(graph.nodes[2].as<ScalarAttrs>(), (ScalarAttrs{30, DType::f32}));
  EXPECT_EQ(graph.nodes[6].inputs, (std::vector<ValueId>{{5, 0}, {4, 0}}));
  EXPECT_EQ(graph.nodes[6].types[0], (Type{DType::f32, {2, 8}}));
  expect_round_trip(graph);
}

TEST(GraphText, NumbersTakeTheDtypeOfTheOtherOperand) {
  auto scalar_dtype = [](std::string_view line) {
    const Graph graph =
        parse_graph(fmt::format("%h = input bf16[4]\n%i = input i32[4]\n%c = input bool[4]\n%r = {}\nreturn %r", line));
    return graph.nodes[3].as<ScalarAttrs>().dtype;
  };
  EXPECT_EQ(scalar_dtype("mul %h, 2"), DType::bf16);
  EXPECT_EQ(scalar_dtype("add 1, %i"), DType::i32);
  EXPECT_EQ(scalar_dtype("add 1, 2"), DType::f32);
  EXPECT_EQ(scalar_dtype("select %c, 0, %h"), DType::bf16);
  EXPECT_EQ(scalar_dtype("select %c, %h, -inf"), DType::bf16);
  EXPECT_EQ(scalar_dtype("select %c, 0, 1"), DType::f32);
  EXPECT_EQ(scalar_dtype("take %h, 3"), DType::i32);
  EXPECT_EQ(scalar_dtype("slice_update %h, %h, 0"), DType::i32);
}

TEST(GraphText, ErrorsSayWhereAndWhat) {
  struct Case {
    const char *text, *error;
  };
  const Case cases[] = {
      {"%0 = input f32[2]\n\n# comment\n%1 =   gelux %0\nreturn %1",
       "line 4, column 8: unknown op 'gelux'; expected an op of ops.def, did you mean 'gelu'?"},
      {"%0 = inptu f32[2]", "line 1, column 6: unknown op 'inptu'; expected an op of ops.def, did you mean 'input'?"},
      {"%0 = input f23[2]",
       "line 1, column 12: unknown dtype 'f23'; expected a dtype of dtype.def, did you mean 'f32'?"},
      {"%0 = input f32[2]\n%1 = add %0", "line 2, column 6: add takes 2 operands, found 1"},
      {"%0 = input f32[2]\n%1 = rms_norm %0, %0, %0", "line 2, column 6: rms_norm takes 1 to 2 operands, found 3"},
      {"%0 = tanh %1", "line 1, column 11: %1 is used before it is defined"},
      {"%0 = input f32[2]\n%0 = tanh %0", "line 2, column 1: %0 is defined twice"},
      {"%0 = input f32[2]\nreturn %9", "line 2, column 8: %9 is used before it is defined"},
      {"%0 = input f32[2]\n%1 = softcap %0 {c=30}",
       "line 2, column 18: unknown attribute 'c' of softcap; expected cap"},
      {"%0 = input f32[2]\n%1 = tanh %0 {cap=30}", "line 2, column 15: unknown attribute 'cap'; tanh has none"},
      {"%0 = input f32[2]\n%1 = softcap %0 {cap=1, cap=2}", "line 2, column 25: attribute 'cap' is given twice"},
      {"%0 = input f32[2]\n%1 = argmax %0 {axis=0.5}",
       "line 2, column 22: expected attribute 'axis' of argmax to be an integer, found '0.5'"},
      {"%0 = iota {size=99999999999999999999}", "within range"},
      {"%0 = input f32[2]\n%1 = sum %0 {axes=0}",
       "line 2, column 19: expected attribute 'axes' of sum to be a list like [2,3], found '0'"},
      {"%0 = input f32[2]\n%1 = sum %0 {axes=[0], keep_dims=1}", "to be true or false, found '1'"},
      {"%0 = input f32[2]\n%1 = tanh %0 : f32[3]",
       "line 2, column 16: the type of tanh is written f32[3], inferred f32[2]"},
      {"%0 = input f32[2]\n%1 = input f32[3]\n%2 = add %0, %1",
       "line 3, column 6: add: shapes [2] and [3] do not broadcast"},
      {"%0 = input f32[2,-1]", "line 1, column 15: shape [2,-1] has a negative size"},
      {"%0 = input f32[4294967296,4294967296]",
       "line 1, column 15: shape [4294967296,4294967296] has more than 2^56 elements"},
      {"%0 = input f32[1]\n%1 = broadcast_to %0 {shape=[4294967296,4294967296]}",
       "line 2, column 29: shape [4294967296,4294967296] has more than 2^56 elements"},
      {"%0 = input\nreturn %0",
       "line 1, column 11: expected ': type' (that of input cannot be inferred), found the end of the line"},
      {"%0 = input f32[2]\n%1 = fused %0 {name=loop}\nreturn %1", "': type' (that of fused cannot be inferred)"},
      {"%0 = input f32[2]\n%1 = top_k %0 {k=1}", "line 2, column 1: top_k gives 2 results, found 1 names"},
      {"%0 = input f32[2] %1 = tanh %0", "line 1, column 19: expected the end of the line, found '%1'"},
      {"%0 = input \"x : f32[2]\nreturn %0", "line 1, column 12: the string has no closing '\"' on its line"},
      {"%0 = input \"\\q\" : f32[2]", "line 1, column 13: unknown escape"},
      {"%0 = input f32[2]\n",
       "line 2, column 1: expected a node ('%name = op ...') or 'return', found the end of the text"},
      {"%0 = input f32[2]\nreturn %0\n%1 = tanh %0",
       "line 3, column 1: expected the end of the text after 'return', found '%1'"},
      {"graph {phase=train}\nreturn", "line 1, column 14: unknown phase 'train'; expected any, prefill or decode"},
      {"%0 = input f32[2]\n%1 = fused %0 {name=a} : f32[2] {\n%0 = tanh %1\n return %0\n}\nreturn %1",
       "line 3, column 11: %1 is used before it is defined"},
      {"%0 = input f32[2] !from 3:sigmiod\nreturn %0",
       "unknown op 'sigmiod'; expected an op of ops.def, did you mean 'sigmoid'?"},
  };
  for (const Case& c : cases) EXPECT_PRED_FORMAT2(testing::IsSubstring, c.error, parse_error(c.text));
}

TEST(GraphText, BodiesDoNotNestWithoutEnd) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "%0 = input f32[2]\n%1 = fused %0 {name=a} : f32[2] {\n";
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "bodies nest deeper than 8", parse_error(text));
}

TEST(GraphText, CutTextsAreErrors) {
  const Graph graph =
      parse_graph("%0 = input \"a\\x41\" {index=0} : f32[2] @a.b\n%1 = sum %0 {axes=[0]} !from 1:sum\nreturn %1 \"r\"");
  const std::string text = to_text(graph);
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    try {
      parse_graph(text.substr(0, length));
      EXPECT_EQ(text.substr(0, length).find("return") == std::string::npos, false) << text.substr(0, length);
    } catch (const Error& error) {
      EXPECT_EQ(std::string_view(error.what()).substr(0, 5), "line ");
    }
  }
}

TEST(GraphText, MillionNodeChain) {
  Graph graph;
  GraphNode input;
  input.attrs = InputAttrs{0};
  input.types = {{DType::f32, {4, 8}}};
  input.from = {{0, Op::input}};
  ValueId last = graph.add(input);
  const auto scope = std::make_shared<const std::string>("layers.3.mlp");
  for (std::int32_t id = 1; id < 1'000'000; ++id) {
    GraphNode node;
    node.op = id % 2 == 0 ? Op::tanh : Op::neg;
    node.inputs = {last};
    node.types = input.types;
    node.scope = scope;
    node.from = {{id, node.op}};
    last = graph.add(std::move(node));
  }
  graph.outputs = {last};
  const std::string text = to_text(graph);
  const Graph parsed = parse_graph(text);
  ASSERT_EQ(parsed.nodes.size(), graph.nodes.size());
  EXPECT_EQ(parsed.outputs, graph.outputs);
  EXPECT_EQ(parsed.nodes.back().inputs, graph.nodes.back().inputs);
  EXPECT_TRUE(to_text(parsed) == text);
}

}  // namespace
}  // namespace lazuli
