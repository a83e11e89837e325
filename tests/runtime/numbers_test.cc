// SPDX-License-Identifier: MIT
// Numbers of a program are operands: a new value compiles nothing, unless a pass asked for the value.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/program_cache.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <thread>

namespace lazuli {
namespace {

using Floats = std::vector<float>;
using Build = std::function<Array(double)>;

SessionOptions uncached(std::string fusion = "all", std::string backend = "cpu") {
  SessionOptions options;
  options.threads = 2;
  options.fusion = std::move(fusion);
  options.backend = std::move(backend);
  options.disk_cache = false;
  options.verify = true;
  return options;
}

Array input(Shape shape, std::uint32_t seed, DType dtype = DType::f32) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed), type);
}

Array constant(Shape shape, std::uint32_t seed, const char* label = "w") {
  const Type type{DType::f32, std::move(shape)};
  return Array::constant(test::random_buffer(type, seed), type, label);
}

Floats floats(const Array& array) {
  const auto data = array.data<float>();
  return {data.begin(), data.end()};
}

Floats by_reference(const Build& build, double value) {
  Session session(uncached("all", "reference"));
  return floats(build(value));
}

void expect_near(const Floats& found, const Floats& expected, double tolerance, double value) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], tolerance * std::max(1.0f, std::abs(expected[i])))
        << "element " << i << " with " << value;
}

struct Compiled {
  std::int64_t programs, loops;
};

// Evaluates it for one value after the other in one session.
Compiled compiled_for(const Build& build, const std::vector<double>& values, double tolerance,
                      const std::string& fusion = "all") {
  Session session(uncached(fusion));
  for (const double value : values) {
    const Floats found = floats(build(value));
    expect_near(found, by_reference(build, value), tolerance, value);
  }
  return {session.statistics().programs, session.statistics().loops};
}

void expect_one_program(const Build& build, const std::vector<double>& values, double tolerance) {
  for (const char* fusion : {"all", "none"}) {
    const Compiled once = compiled_for(build, {values[0]}, tolerance, fusion);
    const Compiled all = compiled_for(build, values, tolerance, fusion);
    EXPECT_EQ(all.programs, 1) << fusion;
    EXPECT_EQ(all.loops, once.loops) << fusion;
  }
}

Graph optimised(Session& session, const Array& array) { return session.optimised(std::span(&array, 1)); }

bool holds(Session& session, const Array& array, std::string_view name) {
  const Graph graph = optimised(session, array);
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [&](const GraphNode& node) { return node.name() == name; });
}

TEST(Numbers, AThousandValuesAreOneProgram) {
  Session session(uncached());
  const Array x = Array::from({1.0f, -2.0f, 3.0f}, {3});
  for (int i = 0; i < 1000; ++i) {
    const float value = 0.001f * static_cast<float>(i);
    ASSERT_EQ(floats(x * value), (Floats{value, -2.0f * value, 3.0f * value})) << i;
  }
  EXPECT_EQ(session.statistics().programs, 1);
  EXPECT_EQ(session.statistics().loops, 1);
}

TEST(Numbers, ZerosOfBothSigns) {
  Session session(uncached());
  const Array x = Array::from({1.0f}, {1});
  for (const float zero : {0.0f, -0.0f, 0.0f}) EXPECT_EQ(std::signbit((x * zero).item<float>()), std::signbit(zero));
}

TEST(Numbers, OfAnyDtype) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f64, DType::i8, DType::u8, DType::i16,
                            DType::u16, DType::i32, DType::u32, DType::i64, DType::u64})
    expect_one_program(
        [&](double value) {
          const Array x = cast(Array::from({1.0f, 2.0f, 3.0f, 20.0f, 5.0f}, {5}), dtype);
          return cast(maximum(x * scalar(value, dtype), scalar(value + 1, dtype)), DType::f32);
        },
        {2, 3, 1, is_real(dtype) ? 5.5 : 5, 0}, 0);
}

TEST(Numbers, Powers) {
  expect_one_program([](double n) { return pow(Array::from({0.5f, 1.5f, 2.0f, 3.0f}, {4}), n); }, {2, 3, 0.5, -1, 2},
                     1e-6);
}

TEST(Numbers, AmongThemselves) {
  expect_one_program([](double a) { return input({3, 5}, 1) * (Array(a) * Array(2.5) + 1.0); }, {2, 3, 0.5}, 1e-6);
}

TEST(Numbers, OfAttributes) {
  const Array x = input({4, 64}, 1), heads = input({4, 2, 32}, 2), factors = input({16}, 3);
  const Array positions = Array::from({0, 3, 7, 100}, {4});
  const Array cache = input({8, 1, 32}, 4), length = Array::from({4}, {}), rows = Array::from({0, 1, 2, 3}, {4});
  expect_one_program([&](double epsilon) { return rms_norm(x, epsilon); }, {1e-6, 1e-2, 1}, 1e-5);
  expect_one_program([&](double epsilon) { return rms_norm(x, input({64}, 5), epsilon) + x; }, {1e-6, 1e-2, 1}, 1e-5);
  expect_one_program([&](double cap) { return softcap(x, cap); }, {30, 0.5, 2}, 1e-5);
  expect_one_program([&](double base) { return rope(heads, positions, {base, 1, 0}); }, {1e4, 1e6, 500}, 1e-5);
  expect_one_program([&](double scale) { return rope(heads, positions, {1e4, scale, 0}); }, {1, 0.125, 2}, 1e-5);
  expect_one_program([&](double base) { return rope(heads, positions, abs(factors) + 1.0, {base, 1, 0}); },
                     {1e4, 1e6, 500}, 1e-5);
  expect_one_program([&](double scale) { return attention(heads, cache, cache, rows, length, {scale, 0}); },
                     {0.1, 1, 3}, 1e-5);
}

TEST(Numbers, ThatAreRefusedLeaveTheProgramAsItWas) {
  Session session(uncached());
  const Array x = input({4, 2, 32}, 2), positions = Array::from({0, 3, 7, 100}, {4});
  const auto turned = [&](double base) { return rope(x, positions, {base, 1, 0}); };
  const Floats before = floats(turned(1e4));
  EXPECT_NE(test::error_of<ExecutionError>([&] { floats(turned(0)); }).find("the base is 0"), std::string::npos);
  EXPECT_EQ(floats(turned(1e4)), before);
  EXPECT_EQ(session.statistics().programs, 1);
}

TEST(Numbers, OfSpelledOutComposites) {
  const Array x = input({4, 64}, 1), heads = input({4, 2, 32}, 2);
  const Array positions = Array::from({0, 3, 7, 100}, {4});
  EXPECT_EQ(compiled_for([&](double v) { return softcap(rms_norm(x, v), v); }, {2, 3, 4}, 1e-5, "primitive").programs,
            1);
  // Its frequencies are folded for each base.
  EXPECT_LE(compiled_for([&](double v) { return rope(heads, positions, {v, 1, 0}); },
                         {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120}, 1e-4, "primitive")
                .programs,
            static_cast<std::int64_t>(ProgramCache::max_variants_in_common));
}

TEST(Numbers, OneAndTheSameCap) {
  Session session(uncached());
  const Array x = input({4, 64}, 1);
  const auto capped = [&](double inner, double outer) { return tanh(x / inner) * outer; };
  for (const auto& [inner, outer] : {std::pair(30.0, 30.0), {2.0, 2.0}, {2.0, 3.0}, {5.0, 5.0}, {3.0, 2.0}}) {
    EXPECT_EQ(holds(session, capped(inner, outer), "softcap"), inner == outer);
    EXPECT_EQ(holds(session, capped(inner, outer), "tanh_mul"), inner != outer);
    expect_near(floats(capped(inner, outer)), by_reference([&](double) { return capped(inner, outer); }, 0), 1e-6,
                inner);
  }
  EXPECT_EQ(session.statistics().programs, 2);
}

TEST(Numbers, GeluByItsConstants) {
  Session session(uncached());
  const Array x = input({4, 64}, 1);
  const Build gelu = [&](double half) {
    return (x * half) * (tanh((x + ((x * x) * x) * 0.044715) * 0.7978845608028654) + 1.0);
  };
  for (const double half : {0.5, 0.6, 0.5, 0.7, 0.25}) {
    EXPECT_EQ(holds(session, gelu(half), "gelu_tanh"), half == 0.5);
    expect_near(floats(gelu(half)), by_reference(gelu, half), 1e-6, half);
  }
  EXPECT_EQ(session.statistics().programs, 2);
}

TEST(Numbers, TheOneOfCorrectedPlanes) {
  const Array planes = input({2, 3, 8}, 1), activated = input({3, 8}, 2), coefficients = input({3, 2}, 3);
  const Build corrected = [&](double one) {
    const std::vector<Array> predicted = unstack(planes, 0);
    const Array innovation = activated - predicted[0];
    std::vector<Array> parts;
    for (std::int64_t j = 0; j < 2; ++j)
      parts.push_back(predicted[static_cast<std::size_t>(j)] +
                      (slice_axis(coefficients, 1, j, j + 1) + one) * innovation);
    return stack(parts);
  };
  EXPECT_EQ(compiled_for(corrected, {1, 2, 3, 1}, 1e-6).programs, 2);
  EXPECT_EQ(compiled_for(corrected, {2, 1, 3, 1}, 1e-6).programs, 2);
}

TEST(Numbers, EqualByChance) {
  const Array x = input({4, 64}, 1);
  const auto sum = [&](double a, double b) { return exp(x * a) + exp(x * b); };
  for (const auto& order : {std::vector<double>{2, 3, 2}, {3, 2, 3}}) {
    Session session(uncached());
    for (const double a : order)
      expect_near(floats(sum(a, 2)), by_reference([&](double v) { return sum(v, 2); }, a), 1e-5, a);
    EXPECT_EQ(session.statistics().programs, order[0] == 2 ? 2 : 1);
  }
}

TEST(Numbers, OfSeveralRopes) {
  Session session(uncached("all,-row_chain"));
  const Array x = input({4, 2, 32}, 2), positions = Array::from({0, 3, 7, 100}, {4});
  const auto sum = [&](double a, double b) {
    return rope(x, positions, {a, 1, 0}) + rope(x * 2.0, positions, {b, 1, 0});
  };
  const auto turns = [&](double a, double b) {
    const Graph plan = session.plan({sum(a, b)});
    return std::count_if(plan.nodes.begin(), plan.nodes.end(),
                         [](const GraphNode& node) { return node.name() == "rope_turns"; });
  };
  EXPECT_EQ(turns(1e4, 1e4), 1);  // sines of one base are computed once
  EXPECT_EQ(turns(1e4, 1e6), 2);
  EXPECT_EQ(turns(500, 500), 1);
  for (const double base : {1e4, 1e6})
    expect_near(floats(sum(1e4, base)), by_reference([&](double b) { return sum(1e4, b); }, base), 1e-5, base);
  EXPECT_EQ(session.statistics().programs, 2);
}

TEST(Numbers, BehindAMatmul) {
  Session session(uncached());
  const Array x = input({3, 64}, 1), w = constant({48, 64}, 2);
  const Floats product = floats(linear(x, w));
  std::int64_t programs = 0, loops = 0;
  for (const float value : {2.0f, 0.3f, -1.5f}) {
    const Floats scaled = floats(linear(x, w) * value);
    for (std::size_t i = 0; i < product.size(); ++i) ASSERT_EQ(scaled[i], product[i] * value) << value;
    if (programs == 0) programs = session.statistics().programs, loops = session.statistics().loops;
  }
  EXPECT_EQ(session.statistics().programs, programs);
  EXPECT_EQ(session.statistics().loops, loops);
}

TEST(Numbers, OfTwoThreads) {
  Session session(uncached());
  const auto scale = [&](int stream, float value) {
    const UseSession use(session);
    const Array x = Array::from({1.0f, 2.0f, 4.0f}, {3});
    for (int i = 0; i < 200; ++i) {
      const Array y = x * value;
      async_eval({y}, Stream{stream});
      ASSERT_EQ(floats(y), (Floats{value, 2 * value, 4 * value}));
    }
  };
  std::thread other([&] { scale(1, 3.5f); });
  scale(0, 0.25f);
  other.join();
  EXPECT_EQ(session.statistics().programs, 1);
}

// Runs that are submitted before the first of them begins keep their own numbers.
TEST(Numbers, OfRunsInFlight) {
  Session session(uncached());
  const Array x = Array::from({1.0f, 2.0f}, {2});
  std::vector<Array> results;
  for (int i = 0; i < 50; ++i) {
    results.push_back(x * static_cast<float>(i));
    async_eval({results.back()});
  }
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(results[static_cast<std::size_t>(i)].data<float>()[1], 2.0f * static_cast<float>(i));
}

TEST(Numbers, OfACompiledFunctionAreThoseItWasTracedWith) {
  Session session(uncached());
  float factor = 2;
  const ArrayFunction scaled = [&](const std::vector<Array>& x) { return std::vector<Array>{x[0] * factor}; };
  const CompiledFunction twice = compile(scaled), thrice = compile(scaled);
  const Array x = Array::from({1.0f, 2.0f}, {2});
  EXPECT_EQ(floats(twice({x})[0]), (Floats{2, 4}));
  factor = 3;
  EXPECT_EQ(floats(thrice({x})[0]), (Floats{3, 6}));
  EXPECT_EQ(floats(twice({x})[0]), (Floats{2, 4}));
  EXPECT_EQ(floats(thrice({x})[0]), (Floats{3, 6}));
  EXPECT_EQ(session.statistics().programs, 1);
}

// A weight and a number are folded for the value, but not for ever more values; what all of them have in common stays
// folded.
TEST(Numbers, FoldedWithWeights) {
  Session session(uncached());
  const Array x = input({4, 64}, 1), w = constant({64}, 2), gain = constant({64}, 3, "gain");
  const Build build = [&](double value) { return x * (gain + 1.0) + w * value; };
  const auto folded = [&](double value) {
    std::vector<std::string> labels;
    for (const GraphNode& node : optimised(session, build(value)).nodes)
      if (node.op == Op::constant) labels.push_back(node.label);
    std::sort(labels.begin(), labels.end());
    return labels;
  };
  EXPECT_EQ(folded(0.5), (std::vector<std::string>{"gain + 1", "w * 0.5"}));
  for (int i = 0; i < 20; ++i) {
    const double value = 0.5 + i;
    expect_near(floats(build(value)), by_reference(build, value), 1e-6, value);
  }
  EXPECT_EQ(folded(100), (std::vector<std::string>{"gain + 1", "w"}));
  EXPECT_EQ(session.statistics().programs, static_cast<std::int64_t>(ProgramCache::max_variants_for_values) + 1);
}

// Whatever the values are, there is an end to compiling, and at last a program for all of them.
TEST(Numbers, OfEverChangingPrograms) {
  Session session(uncached());
  const Array x = input({4, 64}, 1), w = constant({64}, 2);
  const int count = 12;
  const auto build = [&](int changed, double value) {
    Array sum = x;
    for (int i = 0; i < count; ++i) sum = sum + w * (i == changed ? value : 1.5 + i);
    return sum;
  };
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < count; ++i) {
      const double value = 100 * round + 20 + i;
      expect_near(floats(build(i, value)), by_reference([&](double v) { return build(i, v); }, value), 1e-5, value);
    }
  EXPECT_LE(session.statistics().programs, static_cast<std::int64_t>(ProgramCache::max_variants_in_common));
}

TEST(Numbers, AreListedAsTheyAreGiven) {
  Session session(uncached());
  const Array x = input({4}, 1);
  for (const char* value : {"2.5", "3.25"}) {
    const Array y = exp(x * std::stod(value));
    EXPECT_NE(to_text(optimised(session, y)).find(value), std::string::npos);
    EXPECT_NE(to_text(session.plan({y})).find(value), std::string::npos);
  }
}

}  // namespace
}  // namespace lazuli
