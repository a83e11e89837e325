// SPDX-License-Identifier: MIT
// Products with the weights of chosen experts: what they are, which arithmetic they use, how they fail and narrow.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/run_reference.h>
#include <lazuli/tests/support/weight_blocks.h>

#include <cstring>

namespace lazuli {
namespace {

using test::error_of;

Array random_array(Type type, std::uint32_t seed) { return Array::from(test::random_buffer(type, seed), type); }

// A stack of experts' weights, whole and each for itself.
struct Stack {
  Array all;
  std::vector<Array> each;

  Stack(DType dtype, std::int64_t experts, std::int64_t outputs, std::int64_t cols) {
    const Type type{dtype, {experts, outputs, cols}}, matrix{dtype, {outputs, cols}};
    const BufferRef data = test::random_buffer(type, 7, -1, 1);
    all = Array::constant(data, type, "experts");
    for (std::int64_t expert = 0; expert < experts; ++expert) {
      BufferRef part = Buffer::allocate(static_cast<std::size_t>(matrix.bytes()));
      std::memcpy(part->data(), data->data() + expert * matrix.bytes(), part->size());
      each.push_back(Array::constant(part, matrix, "expert"));
    }
  }
};

std::vector<std::int32_t> random_experts(std::int64_t count, std::int64_t experts) {
  std::mt19937 random(11);
  std::vector<std::int32_t> chosen;
  for (std::int64_t i = 0; i < count; ++i)
    chosen.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(experts)));
  return chosen;
}

struct Shapes {
  std::int64_t tokens, chosen, rows_per_token, outputs;
};

// Row (t, j), by an ordinary product with the weights of its expert.
std::vector<float> by_linear(const Array& x, const Stack& stack, const std::vector<std::int32_t>& chosen,
                             const Shapes& shapes) {
  const std::span<const float> rows = x.data<float>();
  const auto size = static_cast<std::size_t>(x.size(2));
  std::vector<float> expected;
  for (std::int64_t pair = 0; pair < shapes.tokens * shapes.chosen; ++pair) {
    const std::int64_t token = pair / shapes.chosen, row = std::min(pair % shapes.chosen, shapes.rows_per_token - 1);
    // A row of its own and no slice, whose place would be part of the program: one program for each expert.
    const Array single = Array::from(
        rows.subspan(static_cast<std::size_t>(token * shapes.rows_per_token + row) * size, size), {1, 1, x.size(2)});
    const Array product = linear(single, stack.each[static_cast<std::size_t>(chosen[static_cast<std::size_t>(pair)])]);
    const std::span<const float> values = product.data<float>();
    expected.insert(expected.end(), values.begin(), values.end());
  }
  return expected;
}

constexpr Shapes shapes_of_interest[] = {{1, 3, 1, 32}, {1, 3, 3, 48},  {2, 1, 1, 16},
                                         {7, 3, 1, 48}, {33, 2, 2, 32}, {40, 4, 1, 80}};

TEST(ExpertLinear, GivesTheBitsOfAnOrdinaryProduct) {
  for (const int threads : {1, 3}) {
    SessionOptions options;
    options.threads = threads;
    Session session(options);
    for (const DType dtype : test::weight_types) {
      for (const Shapes& shapes : shapes_of_interest) {
        const Stack stack(dtype, 6, shapes.outputs, 256);
        const Array x = random_array({DType::f32, {shapes.tokens, shapes.rows_per_token, 256}}, 3);
        const std::vector<std::int32_t> chosen = random_experts(shapes.tokens * shapes.chosen, 6);
        const Array y = expert_linear(x, stack.all, Array::from(chosen, {shapes.tokens, shapes.chosen}));
        const std::span<const float> values = y.data<float>();
        const std::vector<float> actual(values.begin(), values.end());
        EXPECT_EQ(actual, by_linear(x, stack, chosen, shapes))
            << to_string(dtype) << ", " << shapes.tokens << " tokens, " << shapes.chosen << " experts each, " << threads
            << " threads";
      }
    }
  }
}

// Against the reference: f32, and output counts that no group of packed rows divides.
TEST(ExpertLinear, AgreesWithTheReference) {
  for (const Precision precision : {Precision::fast, Precision::f32}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::q5_0, DType::q6_k}) {
      for (Shapes shapes : shapes_of_interest) {
        shapes.outputs -= precision == Precision::fast ? 3 : 0;  // so that the stack is not packed
        const Stack stack(dtype, 5, shapes.outputs, 256);
        const std::vector<std::int32_t> chosen = random_experts(shapes.tokens * shapes.chosen, 5);
        auto compute = [&](const char* backend) {
          SessionOptions options;
          options.backend = backend;
          options.precision = precision;
          options.threads = 2;
          Session session(options);
          const Array x = random_array({DType::f32, {shapes.tokens, shapes.rows_per_token, 256}}, 3);
          const Array y = expert_linear(x, stack.all, Array::from(chosen, {shapes.tokens, shapes.chosen}));
          const std::span<const float> values = y.data<float>();
          return std::vector<float>(values.begin(), values.end());
        };
        const std::vector<float> expected = compute("reference"), actual = compute("cpu");
        ASSERT_EQ(expected.size(), actual.size());
        for (std::size_t i = 0; i < expected.size(); ++i)
          ASSERT_NEAR(expected[i], actual[i], 1e-4)
              << to_string(dtype) << ", element " << i << " for " << shapes.tokens << " tokens";
      }
    }
  }
}

TEST(ExpertLinear, WeightsNeedNotBeConstantsNorActivationsF32) {
  const Type weight{DType::f32, {3, 5, 7}}, x{DType::bf16, {4, 2, 7}};
  auto compute = [&](const char* backend) {
    SessionOptions options;
    options.backend = backend;
    Session session(options);
    const Array experts = Array::from({0, 2, 1, 1, 2, 0, 2, 2}, {4, 2});
    const Array y = cast(expert_linear(random_array(x, 1), random_array(weight, 2), experts), DType::f32);
    const std::span<const float> values = y.data<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  const std::vector<float> expected = compute("reference"), actual = compute("cpu");
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(expected[i], actual[i], std::abs(expected[i]) * 0x1p-7 + 1e-5);
}

TEST(ExpertLinear, NothingToDo) {
  Session session;
  const Stack stack(DType::q8_0, 2, 16, 32);
  EXPECT_EQ(expert_linear(zeros({0, 1, 32}), stack.all, zeros({0, 2}, DType::i32)).data<float>().size(), 0u);
  EXPECT_EQ(expert_linear(zeros({3, 1, 32}), stack.all, zeros({3, 0}, DType::i32)).data<float>().size(), 0u);
}

TEST(ExpertLinear, ChecksShapesWhereItIsCalled) {
  const Array weight = placeholder({DType::q8_0, {4, 16, 64}}), experts = placeholder({DType::i32, {5, 2}});
  auto error = [&](const Array& x, const Array& w, const Array& e) {
    return error_of([&] { expert_linear(x, w, e); });
  };
  auto real = [](Shape shape) { return placeholder({DType::f32, std::move(shape)}); };
  EXPECT_EQ(error(real({5, 1, 32}), weight, experts),
            "expert_linear: inner sizes differ: x is f32[5,1,32], weight is q8_0[4,16,64]; expected weight [*, *, 32]");
  EXPECT_EQ(error(real({5, 3, 64}), weight, experts),
            "expert_linear: x is f32[5,3,64], experts are i32[5,2]; expected x [5, 1 or 2, 64]");
  EXPECT_EQ(error(real({4, 1, 64}), weight, experts),
            "expert_linear: x is f32[4,1,64], experts are i32[5,2]; expected x [5, 1 or 2, 64]");
  EXPECT_EQ(error(real({5, 1, 64}), real({16, 64}), experts),
            "expert_linear: operand 1 is f32[16,64], expected a stack of weights [E, N, K]");
  EXPECT_EQ(error(real({5, 1, 64}), weight, real({5, 2})),
            "expert_linear: operand 2 is f32[5,2], expected i32 indices");
  EXPECT_EQ(error(real({5, 64}), weight, experts), "expert_linear: operand 0 is f32[5,64], expected x [T, S, K]");
}

TEST(ExpertLinear, AnExpertThatIsNotThereIsAnErrorOfItsNode) {
  for (const char* backend : {"cpu", "reference"}) {
    SessionOptions options;
    options.backend = backend;
    options.threads = 2;
    Session session(options);
    const Stack stack(DType::q4_0, 4, 32, 64);
    for (const std::int32_t wrong : {-1, 4}) {
      for (const std::int64_t tokens : {1, 3}) {
        std::vector<std::int32_t> chosen(static_cast<std::size_t>(2 * tokens), 1);
        chosen[1] = wrong;
        Scope scope("layers", 3);
        const Array y =
            expert_linear(random_array({DType::f32, {tokens, 1, 64}}, 1), stack.all, Array::from(chosen, {tokens, 2}));
        EXPECT_THROW(y.data<float>(), ExecutionError);
        const std::string error = error_of([&] { y.data<float>(); });
        EXPECT_NE(error.find("expert_linear"), error.npos) << error;
        EXPECT_NE(error.find("layers.3"), error.npos) << error;
        EXPECT_NE(error.find(fmt::format("{} at position 1 is outside [0, 4)", wrong)), error.npos) << error;
      }
    }
    // The session goes on.
    EXPECT_EQ((Array::from({1.0f}, {1}) + 1.0).item<float>(), 2.0f);
  }
}

TEST(ExpertLinear, PrintsAndParses) {
  const std::string text =
      "%0 = input f32[5,1,64]\n"
      "%1 = input q8_0[4,16,64]\n"
      "%2 = input i32[5,2]\n"
      "%3 = expert_linear %0, %1, %2 : f32[5,2,16]\n"
      "return %3\n";
  EXPECT_NE(to_text(parse_graph(text)).find("expert_linear %0, %1, %2"), std::string::npos);
}

// One row of the results asks for one row of everything along the tokens: router, choice, and the experts' products.
TEST(ExpertLinear, OneRowAsksForOneRow) {
  SessionOptions options;
  options.fusion = "none";
  Session session(options);
  const Stack stack(DType::q8_0, 4, 32, 64);
  const Array x = placeholder({DType::f32, {9, 64}}, "x"), row = placeholder({DType::i32, {1}}, "row");
  const Array router = placeholder({DType::f32, {4, 64}}, "router"), scale = placeholder({DType::f32, {4}}, "scale");
  const TopK best = top_k(linear(x, router), 2);
  const Array weights = softmax(best.values) * gather(broadcast_to(scale, {9, 4}), best.indices, 1);
  const Array y = sum(expert_linear(expand_dims(x, 1), stack.all, best.indices) * expand_dims(weights, 2), {1});
  const Array result = take_rows(y, row);
  const Graph graph = session.optimised({&result, 1});
  std::int64_t checked = 0;
  for (const GraphNode& node : graph.nodes) {
    const bool by_token = node.op == Op::linear || node.op == Op::top_k || node.op == Op::softmax ||
                          node.op == Op::gather || node.op == Op::expert_linear;
    if (!by_token) continue;
    ++checked;
    EXPECT_EQ(node.type().shape[0], 1) << to_string(node.op) << " of\n" << to_text(graph);
  }
  EXPECT_EQ(checked, 5) << to_text(graph);
}

}  // namespace
}  // namespace lazuli
