// SPDX-License-Identifier: MIT
// Fusing changes no bit: random graphs and the named patterns, with everything fused, with nothing fused, and at every
// instruction-set level.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <functional>
#include <optional>
#include <random>

namespace lazuli {
namespace {

using Arrays = std::vector<Array>;
using Build = std::function<Arrays()>;
using test::ForcedIsa;

// f32 in another order: softmax, norms and GELU are spelled out in `primitive`, and values stay around 1.
constexpr double respelled = 2e-5;

Array input(Shape shape, std::uint32_t seed, DType dtype = DType::f32) {
  const Type type{dtype, std::move(shape)};
  return Array::from(test::random_buffer(type, seed), type);
}

Array constant(Shape shape, std::uint32_t seed) {
  const Type type{DType::f32, std::move(shape)};
  return Array::constant(test::random_buffer(type, seed, -0.2, 0.2), type, "w");
}

struct Outcome {
  Graph graph;  // after the passes
  Arrays outputs;
};

Outcome evaluate(const Build& build, const std::string& fusion, int threads = 2) {
  SessionOptions options;
  options.fusion = fusion;
  options.threads = threads;
  options.verify = true;
  Session session(options);
  Outcome outcome;
  outcome.outputs = build();
  outcome.graph = session.optimised(outcome.outputs);
  eval(outcome.outputs);
  return outcome;
}

const Buffer& buffer_of(const Array& array) { return *array.result().buffer; }

void expect_same_bits(const Outcome& expected, const Outcome& actual, const std::string& what) {
  for (std::size_t i = 0; i < expected.outputs.size(); ++i)
    EXPECT_TRUE(
        test::same_bits(expected.outputs[i].type(), buffer_of(expected.outputs[i]), buffer_of(actual.outputs[i])))
        << what << ", output " << i << ", largest difference "
        << test::max_difference(expected.outputs[i].type(), buffer_of(expected.outputs[i]),
                                buffer_of(actual.outputs[i]))
        << "\n"
        << to_text(actual.graph);
}

void expect_near(const Outcome& expected, const Outcome& actual, double tolerance) {
  for (std::size_t i = 0; i < expected.outputs.size(); ++i)
    EXPECT_LE(
        test::max_difference(expected.outputs[i].type(), buffer_of(expected.outputs[i]), buffer_of(actual.outputs[i])),
        tolerance)
        << "output " << i << "\n"
        << to_text(actual.graph);
}

std::vector<std::string> fused_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const GraphNode& node : graph.nodes)
    if (node.op == Op::fused) names.emplace_back(node.name());
  return names;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Random graphs of what loops are made of. Every op keeps values in a range where none overflows, so that no bit of a
// NaN has to agree.
class RandomGraph {
 public:
  RandomGraph(std::uint32_t seed, std::int64_t rows, std::int64_t columns) : random_(seed) {
    values_ = {input({rows, columns}, seed * 10), input({rows, columns}, seed * 10 + 1)};
    narrow_ = {input({columns}, seed * 10 + 2), input({rows, 1}, seed * 10 + 3), input({}, seed * 10 + 4)};
  }

  Arrays build(int ops) {
    for (int i = 0; i < ops; ++i) add(next(pick(8) == 0));
    Arrays outputs{values_.back()};
    while (pick(3) != 0) outputs.push_back(any());
    outputs.push_back(sum(any(), {-1}));
    return outputs;
  }

 private:
  std::size_t pick(std::size_t count) { return random_() % count; }
  Array any() { return values_[pick(values_.size())]; }
  Array other() { return pick(3) == 0 ? narrow_[pick(narrow_.size())] : any(); }
  void add(const Array& x) { values_.push_back(x); }

  Array reduced() {
    const Array x = any();
    switch (pick(4)) {
      case 0:
        return sum(x, {-1}, true) / 64.0;
      case 1:
        return mean(x * x, {-1}, true);
      case 2:
        return max(x, {-1}, true);
      default:
        return min(x, {-1}, true);
    }
  }

  Array next(bool with_reduction) {
    if (with_reduction) {
      narrow_.push_back(reduced());
      return tanh(any() - narrow_.back());
    }
    const Array x = any(), y = other();
    switch (pick(23)) {
      case 0:
        return (x + y) * 0.5;
      case 1:
        return x - y * 0.25;
      case 2:
        return tanh(x) * y;
      case 3:
        return x / (abs(y) + 1.0);
      case 4:
        return maximum(x, y);
      case 5:
        return minimum(y, x);
      case 6:
        return gelu_tanh(x) * tanh(y);
      case 7:
        return sigmoid(x) + y;
      case 8:
        return exp(minimum(x, 1.0));
      case 9:
        return softcap(x, 3);
      case 10:
        return sqrt(abs(x)) - tanh(square(x));
      case 11:
        return select(greater(x, y), x, y * 0.5);
      case 12:
        return cast(cast(x, DType::bf16) * 0.5, DType::f32);
      case 13:
        return rms_norm(x, 1e-6);
      case 14:
        return softmax(x);
      case 15:
        return log(abs(x) + 1.0) + floor(y);
      case 16:
        return silu(x) - mish(y) * 0.5;
      case 17:
        return gelu(x) - softplus(-abs(y));
      case 18:
        return sin(x) + cos(y * 3.0) * atan2(x, abs(y) + 1.0);
      case 19:
        return pow(abs(x) + 0.5, minimum(abs(y), 1.0));
      case 20:
        return erf(y) - atan(x);
      case 21:
        return asinh(x) - log1p(abs(y)) + expm1(minimum(x, 1.0));
      default:
        return -x * rsqrt(square(x) + 1.0);
    }
  }

  std::mt19937 random_;
  Arrays values_, narrow_;
};

struct RandomCase {
  std::uint32_t seed;
  std::int64_t rows, columns;
};

Build build_of(const RandomCase& test) {
  return [=] { return RandomGraph(test.seed, test.rows, test.columns).build(4 + static_cast<int>(test.seed % 30)); };
}

std::vector<RandomCase> random_cases() {
  const std::vector<std::pair<std::int64_t, std::int64_t>> shapes = {{1, 1},  {1, 17},  {3, 33}, {5, 1},
                                                                     {7, 16}, {2, 640}, {1, 15}, {40, 1000}};
  std::vector<RandomCase> cases;
  for (std::uint32_t seed = 1; seed <= 24; ++seed) {
    const auto& [rows, columns] = shapes[seed % shapes.size()];
    cases.push_back({seed, rows, columns});
  }
  return cases;
}

TEST(FusedBits, RandomGraphs) {
  std::size_t fused = 0;
  for (const RandomCase& test : random_cases()) {
    const Build build = build_of(test);
    const Outcome all = evaluate(build, "all"), none = evaluate(build, "none");
    EXPECT_TRUE(fused_names(none.graph).empty());
    fused += fused_names(all.graph).size();
    const std::string seed = "seed " + std::to_string(test.seed);
    expect_same_bits(none, all, seed);
    expect_same_bits(all, evaluate(build, "all", 1), seed + ", one thread");
    if (test.seed % 4 == 0) expect_near(none, evaluate(build, "primitive"), respelled);
  }
  EXPECT_GT(fused, random_cases().size());
}

TEST(FusedBits, SameAtEveryInstructionSetLevel) {
  for (const RandomCase& test : random_cases()) {
    if (test.seed % 3 != 0) continue;
    const Build build = build_of(test);
    std::optional<Outcome> scalar;
    for (const IsaLevel& level : isa_levels()) {
      if (!level.usable) continue;
      const test::ForcedIsa forced(level.isa);
      Outcome outcome = evaluate(build, "all");
      if (scalar) expect_same_bits(*scalar, outcome, std::string(to_string(level.isa)));
      if (!scalar) scalar = std::move(outcome);
    }
  }
}

struct Pattern {
  const char* name;  // of the test
  std::vector<std::string> fused;
  Build build;
};

// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³)))
Array spelled_gelu(const Array& x) { return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * pow(x, 3.0)))); }

std::vector<Pattern> patterns() {
  const auto x = [] { return input({5, 96}, 1); };
  const auto y = [] { return input({5, 96}, 2); };
  return {
      {"gelu_mul_behind_matmuls",
       {"gelu_mul"},
       [=] {
         const Array gate = constant({33, 96}, 3), up = constant({33, 96}, 4);
         return Arrays{gelu_tanh(linear(x(), gate)) * linear(x(), up)};
       }},
      {"gelu_mul_spelled_out", {"gelu_mul"}, [=] { return Arrays{y() * spelled_gelu(x())}; }},
      {"gelu_tanh_spelled_out", {"gelu_tanh"}, [=] { return Arrays{matmul(spelled_gelu(x()), constant({96, 7}, 3))}; }},
      {"softcap", {"softcap"}, [=] { return Arrays{argmax(tanh(x() / 30.0) * 30.0), tanh(y() / 5.0) * 5.0}; }},
      {"tanh_mul", {"tanh_mul"}, [=] { return Arrays{tanh(x()) * y()}; }},
      {"norm_then_residual",
       {"rms_norm_add"},
       [=] { return Arrays{x() + rms_norm(y(), 1.0 + constant({96}, 3), 1e-6)}; }},
      {"residual_norm_chain",
       {},
       [=] {  // the residual is read by the next layer too: a kernel of two results
         const Array residual = x() + rms_norm(y(), 1.0 + constant({96}, 3), 1e-6);
         const Array normed = rms_norm(residual, 1.0 + constant({96}, 4), 1e-6);
         return Arrays{residual, normed};
       }},
      {"norm_spelled_out",
       {},
       [=] {
         const Array a = x();
         return Arrays{a * rsqrt(mean(square(a), {-1}, true) + 1e-6) * constant({96}, 3)};
       }},
      {"swiglu", {}, [=] { return Arrays{x() * sigmoid(x()) * y()}; }},
      {"softmax_spelled_out",
       {},
       [=] {
         const Array e = exp(x() - max(x(), {-1}, true));
         return Arrays{e / sum(e, {-1}, true)};
       }},
  };
}

TEST(FusedBits, NamedPatterns) {
  for (const Pattern& pattern : patterns()) {
    SCOPED_TRACE(pattern.name);
    const Outcome all = evaluate(pattern.build, "all"), none = evaluate(pattern.build, "none");
    const std::vector<std::string> names = fused_names(all.graph);
    EXPECT_FALSE(names.empty()) << to_text(all.graph);
    for (const std::string& name : pattern.fused)
      EXPECT_TRUE(has(names, name)) << name << " in\n" << to_text(all.graph);
    EXPECT_TRUE(fused_names(none.graph).empty());
    expect_same_bits(none, all, pattern.name);
    expect_near(none, evaluate(pattern.build, "primitive"), respelled);
    SessionOptions reference;
    reference.backend = "reference";
    Session session(reference);
    Outcome oracle;
    oracle.outputs = pattern.build();
    eval(oracle.outputs);
    expect_near(oracle, all, respelled);
  }
}

TEST(FusedBits, ResidualAndNormAreOneKernelOfTwoResults) {
  for (const Pattern& pattern : patterns()) {
    if (std::string_view(pattern.name) != "residual_norm_chain") continue;
    const Outcome all = evaluate(pattern.build, "all");
    EXPECT_EQ(fused_names(all.graph).size(), 1u) << to_text(all.graph);
    for (const GraphNode& node : all.graph.nodes)
      if (node.op == Op::fused) {
        EXPECT_EQ(node.types.size(), 2u);
      }
  }
}

TEST(FusedBits, SwitchedOffRuleDoesNotFire) {
  const Build build = [] { return Arrays{gelu_tanh(input({3, 40}, 1)) * input({3, 40}, 2)}; };
  const Outcome without = evaluate(build, "all,-gelu_mul"), with = evaluate(build, "none,+gelu_mul");
  EXPECT_FALSE(has(fused_names(without.graph), "gelu_mul"));
  EXPECT_EQ(fused_names(with.graph), std::vector<std::string>{"gelu_mul"});
  expect_same_bits(without, with, "gelu_mul on and off");
}

}  // namespace
}  // namespace lazuli
