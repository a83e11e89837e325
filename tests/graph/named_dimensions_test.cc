// SPDX-License-Identifier: MIT
// Named axes in types, shape rules, text and keys.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/graph/ops/attention.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/shape_rules/named_axes.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/paths.h>

#include <fstream>
#include <functional>
#include <set>
#include <sstream>

namespace lazuli {
namespace {

using test::error_of;

Array named(Shape shape, int axis = 0, DType dtype = DType::f32, std::string_view name = "tokens") {
  return placeholder(with_named_axis({dtype, std::move(shape)}, axis, name));
}
Array plain(Shape shape, DType dtype = DType::f32) { return placeholder({dtype, std::move(shape)}); }

Array padded(const Array& x) { return make_array(Op::pad, PadAttrs{{0, 1}, {0, 1}}, {x, scalar(0.0, DType::f32)}); }

std::string type_of(const Array& x) { return to_string(x.type()); }

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_PRED_FORMAT2(testing::IsSubstring, part, text);
}

TEST(NamedAxes, StandInTypes) {
  EXPECT_EQ(type_of(named({512, 64})), "f32[tokens<=512,64]");
  EXPECT_EQ(type_of(named({1, 512}, 1, DType::i32)), "i32[1,tokens<=512]");
  EXPECT_EQ(to_string(at_size(named({512, 64}).type(), 7)), "f32[7,64]");
  EXPECT_EQ(named({512, 64}).type(), named({512, 64}).type());
  EXPECT_NE(named({512, 64}).type(), plain({512, 64}).type());
  EXPECT_NE(named({512, 64}).type(), named({512, 64}, 0, DType::f32, "rows").type());
}

TEST(NamedAxes, AreTheFirstThatIsLongerThanOne) {
  expect_contains(error_of([] { named({4, 512}, 1); }), "tokens is axis 1 of f32[4,tokens<=512]");
  expect_contains(error_of([] { named({512}, 1); }), "tokens names axis 1 of rank 1");
  expect_contains(error_of([] { named({1, 64}); }), "expected a bound of 2 or more");
  expect_contains(error_of([] { named({4}, 0, DType::f32, "4x"); }), "the name \"4x\"");
  expect_contains(error_of([] { named({4}, 0, DType::f32, ""); }), "the name \"\"");
}

TEST(NamedAxes, AreTakenByTheOpsOfTheList) {
  const Array x = named({512, 64}), indices = named({512}, 0, DType::i32), heads = reshape(x, {512, 4, 16});
  const Array weight = plain({32, 64}), row = plain({64}), table = plain({100, 8});
  const std::pair<Array, const char*> results[] = {
      {exp(x), "f32[tokens<=512,64]"},
      {x + row, "f32[tokens<=512,64]"},
      {row * x, "f32[tokens<=512,64]"},
      {x * 2.0, "f32[tokens<=512,64]"},
      {x - named({512, 1}), "f32[tokens<=512,64]"},
      {less(x, x), "bool[tokens<=512,64]"},
      {plain({1, 64}) + named({1, 512, 64}, 1), "f32[1,tokens<=512,64]"},
      {cast(x, DType::f16), "f16[tokens<=512,64]"},
      {sum(x, {1}), "f32[tokens<=512]"},
      {max(x, {1}, true), "f32[tokens<=512,1]"},
      {sum(named({1, 512, 64}, 1), {0}), "f32[tokens<=512,64]"},
      {mean(x, {0}), "f32[64]"},
      {max(x, {0}, true), "f32[1,64]"},
      {softmax(x), "f32[tokens<=512,64]"},
      {argmax(x, 1), "i32[tokens<=512]"},
      {cumsum(x, 1), "f32[tokens<=512,64]"},
      {sort(x, 1), "f32[tokens<=512,64]"},
      {top_k(x, 3).values, "f32[tokens<=512,3]"},
      {rms_norm(x, row, 1e-6), "f32[tokens<=512,64]"},
      {layer_norm(x, row, row, 1e-6), "f32[tokens<=512,64]"},
      {linear(x, weight), "f32[tokens<=512,32]"},
      {linear(heads, plain({8, 16})), "f32[tokens<=512,4,8]"},
      {matmul(x, plain({64, 8})), "f32[tokens<=512,8]"},
      {matmul(heads, plain({16, 8})), "f32[tokens<=512,4,8]"},
      {matmul(x, plain({1, 64, 8})), "f32[1,tokens<=512,8]"},
      {heads, "f32[tokens<=512,4,16]"},
      {expand_dims(x, 0), "f32[1,tokens<=512,64]"},
      {transpose(heads, {0, 2, 1}), "f32[tokens<=512,16,4]"},
      {slice_axis(x, 1, 8, 16), "f32[tokens<=512,8]"},
      {split(x, 2, 1)[1], "f32[tokens<=512,32]"},
      {broadcast_to(named({512, 1}), {1, 512, 64}), "f32[1,tokens<=512,64]"},
      {concatenate({x, x}, 1), "f32[tokens<=512,128]"},
      {take(table, indices, 0), "f32[tokens<=512,8]"},
      {take(x, plain({3}, DType::i32), 1), "f32[tokens<=512,3]"},
      {gather(x, named({512, 2}, 0, DType::i32), 1), "f32[tokens<=512,2]"},
      {gather(table, named({512, 8}, 0, DType::i32), 0), "f32[tokens<=512,8]"},
      {rope(heads, indices, RopeAttrs{}), "f32[tokens<=512,4,16]"},
      {attention(heads, heads, heads, indices, plain({}, DType::i32), AttentionAttrs{}), "f32[tokens<=512,4,16]"},
      {attention(heads, plain({9, 4, 16}), plain({9, 4, 16}), indices, plain({}, DType::i32), AttentionAttrs{}),
       "f32[tokens<=512,4,16]"},
  };
  for (const auto& [result, expected] : results) EXPECT_EQ(type_of(result), expected) << to_text(graph_of({result}));
}

TEST(NamedAxes, AreErrorsElsewhere) {
  const Array x = named({512, 64}), frames = named({512, 64}, 0, DType::f32, "frames");
  const Array indices = named({512}, 0, DType::i32), heads = reshape(x, {512, 4, 16});
  const std::function<void()> refused[] = {
      [&] { x + plain({512, 64}); },
      [&] { x + frames; },
      [&] { x + named({2, 512, 64}, 0); },
      [&] { plain({3, 1, 64}) + x; },
      [&] { select(plain({512, 64}, DType::bool_), x, x); },
      [&] { sum(x, {0, 1}); },
      [&] { softmax(x, 0); },
      [&] { cumsum(x, 0); },
      [&] { sort(x, 0); },
      [&] { argmax(x, 0); },
      [&] { top_k(indices, 2); },
      [&] { rms_norm(cast(indices, DType::f32), plain({512}), 1e-6); },
      [&] { linear(plain({3, 64}), x); },
      [&] { matmul(plain({3, 512}), x); },
      [&] { matmul(x, plain({4, 64, 8})); },
      [&] { matmul(heads, plain({512, 16, 8})); },
      [&] { reshape(x, {512 * 64}); },
      [&] { reshape(x, {64, 512}); },
      [&] { transpose(x, {1, 0}); },
      [&] { slice_axis(x, 0, 511, 512); },
      [&] { flip(x, {0}); },
      [&] { broadcast_to(x, {3, 512, 64}); },
      [&] { concatenate({x, x}, 0); },
      [&] { concatenate({x, plain({512, 64})}, 1); },
      [&] { take(x, plain({3}, DType::i32), 0); },
      [&] { take(x, indices, 1); },
      [&] { gather(x, plain({512, 2}, DType::i32), 1); },
      [&] { rope(heads, plain({512}, DType::i32), RopeAttrs{}); },
      [&] { attention(heads, heads, plain({512, 4, 16}), indices, plain({}, DType::i32), AttentionAttrs{}); },
      [&] { padded(x); },
      [&] { slice_update(x, plain({1, 64}), plain({}, DType::i32), 0); },
      [&] { scaled_dot_product_attention(named({1, 512, 4, 16}, 1), plain({1, 512, 4, 16}), plain({1, 512, 4, 16})); },
  };
  for (std::size_t i = 0; i < std::size(refused); ++i) {
    const std::optional<Error> error = test::caught(refused[i]);
    ASSERT_TRUE(error.has_value()) << i;
    EXPECT_EQ(error->kind(), ErrorKind::shape) << i << ": " << error->what();
    expect_contains(error->what(), "<=512");
    EXPECT_FALSE(error->details().op.empty()) << i;
    EXPECT_FALSE(error->details().expected.empty()) << i;
  }
}

TEST(NamedAxes, ErrorsSayWhatIsTaken) {
  const Array x = named({512, 64});
  EXPECT_EQ(error_of([&] { x + plain({512, 64}); }),
            "add: found f32[tokens<=512,64], f32[512,64], expected a named axis by this rule: operands that broadcast: "
            "at one place "
            "in all of them, or of size 1 there, or without that axis");
  EXPECT_EQ(
      error_of([&] { padded(x); }),
      "pad: found f32[tokens<=512,64], f32[], expected no named axis; docs/named-dimensions.md lists the ops that "
      "take one");
}

std::string table() {
  std::string text = "| ops | a named axis |\n| --- | --- |\n";
  for (const NamedAxisRule& rule : named_axis_rules()) {
    std::string ops;
    for (const Op op : rule.ops) ops += (ops.empty() ? "" : ", ") + std::string(to_string(op));
    text += fmt::format("| {} | {} |\n", ops, rule.taken);
  }
  return text;
}

TEST(NamedAxes, TheDocumentShowsTheList) {
  std::ifstream file(std::string(test::build_folder) + "/../../docs/named-dimensions.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(table()), std::string::npos) << "expected in docs/named-dimensions.md:\n" << table();
}

TEST(NamedAxes, EachOpHasOneRule) {
  std::set<Op> seen;
  for (const NamedAxisRule& rule : named_axis_rules())
    for (const Op op : rule.ops) EXPECT_TRUE(seen.insert(op).second) << to_string(op);
}

constexpr const char* block = R"(%0 = input "x" {index=0} : f32[tokens<=512,64]
%1 = input "w" {index=1} : f32[64]
%2 = input "ids" {index=2} : i32[1,rows<=9]
%3 = mul %0, %1 : f32[tokens<=512,64]
%4 = reshape %3 {shape=[512,4,16]} : f32[tokens<=512,4,16]
%5 = slice %4 {begin=[0,1,0], end=[512,3,16], step=[1,1,1]} : f32[tokens<=512,2,16]
%6 = max %5 {axes=[2], keep_dims=true} : f32[tokens<=512,2,1]
%7 = broadcast_to %6 {shape=[512,2,5]} : f32[tokens<=512,2,5]
%8 = take %1, %2 {axis=0} : f32[1,rows<=9]
return %7, %8
)";

TEST(NamedAxes, StandInText) {
  const Graph graph = parse_graph(block);
  EXPECT_EQ(to_text(graph), block);
  verify(graph);
  EXPECT_EQ(graph.type(graph.outputs[0]), with_named_axis({DType::f32, {512, 2, 5}}, 0, "tokens"));
  const std::vector<NamedSize> dimensions = dimensions_of(graph);
  ASSERT_EQ(dimensions.size(), 2u);
  EXPECT_EQ(*dimensions[0].name + *dimensions[1].name, "tokensrows");
  EXPECT_EQ(dimensions[1].bound, 9);
}

TEST(NamedAxes, TextSaysWhatIsWrong) {
  const auto error = [](const std::string& type) {
    return error_of([&] { parse_graph("%0 = input " + type + "\nreturn %0\n"); });
  };
  EXPECT_EQ(error("f32[tokens<=512,64]"), "no error");
  EXPECT_EQ(error("f32[1, tokens <= 512, 64]"), "no error");
  expect_contains(error("f32[tokens,64]"), "'<=' and the bound of the named axis");
  expect_contains(error("f32[tokens<=x]"), "an integer");
  expect_contains(error("f32[tokens<=-4]"), "negative size");
  expect_contains(error("f32[tokens<=1]"), "a bound of 2 or more");
  expect_contains(error("f32[4,tokens<=5]"), "expected the first axis longer than 1");
  expect_contains(error("f32[a<=4,b<=5]"), "as one axis has a name already");
  expect_contains(error_of([] { parse_graph("%0 = input f32[tokens<=4]\n%1 = exp %0 : f32[4]\nreturn %1\n"); }),
                  "the type of exp is written f32[4], inferred f32[tokens<=4]");
  expect_contains(error_of([] { verify(parse_graph("%0 = input f32[t<=4]\n%1 = input f32[t<=5]\nreturn %0, %1\n")); }),
                  "bounds t by");
}

TEST(NamedAxes, ArePartOfTheKey) {
  const auto key = [](const std::string& type) {
    return structural_key(parse_graph("%0 = input " + type + "\n%1 = exp %0\nreturn %1\n"));
  };
  EXPECT_EQ(key("f32[n<=4,3]"), key("f32[n<=4,3]"));
  const std::set<std::string> keys = {key("f32[n<=4,3]"), key("f32[m<=4,3]"), key("f32[n<=5,3]"), key("f32[4,3]")};
  EXPECT_EQ(keys.size(), 4u);
}

TEST(NamedAxes, StandInPictures) {
  const Graph graph = parse_graph(block);
  expect_contains(to_json(graph, "built"), R"("named_axis":{"axis":1,"name":"rows"})");
  expect_contains(to_dot(graph), "tokens&lt;=512");
}

TEST(NamedAxes, SizesOfARunStandForThem) {
  const Graph sized = with_sizes(parse_graph(block), std::vector<std::int64_t>{7, 2});
  verify(sized);
  EXPECT_EQ(to_text(sized), R"(%0 = input "x" {index=0} : f32[7,64]
%1 = input "w" {index=1} : f32[64]
%2 = input "ids" {index=2} : i32[1,2]
%3 = mul %0, %1 : f32[7,64]
%4 = reshape %3 {shape=[7,4,16]} : f32[7,4,16]
%5 = slice %4 {begin=[0,1,0], end=[7,3,16], step=[1,1,1]} : f32[7,2,16]
%6 = max %5 {axes=[2], keep_dims=true} : f32[7,2,1]
%7 = broadcast_to %6 {shape=[7,2,5]} : f32[7,2,5]
%8 = take %1, %2 {axis=0} : f32[1,2]
return %7, %8
)");
}

}  // namespace
}  // namespace lazuli
