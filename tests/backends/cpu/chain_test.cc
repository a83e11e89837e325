// SPDX-License-Identifier: MIT
// Merged matmuls, epilogues and row chains: where they fire, where they must not, and that they change no bit.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>
#include <lazuli/tests/support/weight_blocks.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <random>

namespace lazuli {
namespace {

using Arrays = std::vector<Array>;
using Function = std::function<Arrays(const Arrays&)>;
using test::ForcedIsa;

Array input(Shape shape, std::uint32_t seed) {
  const Type type{DType::f32, std::move(shape)};
  return Array::from(test::random_buffer(type, seed), type);
}

Array norm_weight(std::int64_t columns, std::uint32_t seed) {
  const Type type{DType::f32, {columns}};
  return Array::constant(test::random_buffer(type, seed), type, "norm");
}

Array weight(DType dtype, std::int64_t outputs, std::int64_t columns, std::uint32_t seed) {
  const Type type{dtype, {outputs, columns}};
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-0.2f, 0.2f);
  std::vector<float> values(static_cast<std::size_t>(outputs * columns));
  for (float& value : values) value = uniform(random);
  const BufferRef blocks = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  quantise(dtype, values.data(), outputs * columns, blocks->data());
  return Array::constant(blocks, type, "w");
}

struct Setting {
  std::string fusion = "all";
  int threads = 2;
  Phase phase = Phase::decode;
  Precision precision = Precision::fast;
  std::int64_t split_bytes = 0;
};

struct Outcome {
  std::vector<std::string> names;  // of what runs
  std::int64_t split = 0;          // launches that are divided over threads
  std::vector<std::vector<std::byte>> results;
};

Outcome run(const Function& function, const std::vector<Shape>& shapes, const Setting& setting) {
  SessionOptions options;
  options.fusion = setting.fusion;
  options.threads = setting.threads;
  options.precision = setting.precision;
  options.split_bytes = setting.split_bytes;
  Session session(options);
  Arrays arguments;
  for (std::size_t i = 0; i < shapes.size(); ++i)
    arguments.push_back(input(shapes[i], static_cast<std::uint32_t>(i + 1)));
  CompileOptions compile_options;
  compile_options.phase = setting.phase;
  const CompiledFunction compiled = compile(function, compile_options);
  Outcome outcome;
  const auto& executable = static_cast<const CompiledGraph&>(*compiled.executable(arguments));
  const Graph& scheduled = executable.program->scheduled();
  for (const GraphNode& node : scheduled.nodes)
    if (!is_leaf(node.op)) outcome.names.emplace_back(node.name());
  EXPECT_EQ(outcome.names.size(), executable.program->steps().size()) << "a node for each launch";
  for (const ProgramStep& step : executable.program->steps()) outcome.split += step.split ? 1 : 0;
  for (const Array& result : compiled(arguments)) {
    wait(result);
    const Buffer& buffer = *result.result().buffer;
    outcome.results.emplace_back(buffer.data(), buffer.data() + result.type().bytes());
  }
  return outcome;
}

using Names = std::vector<std::string>;

bool has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Names names_of(const Function& function, const std::vector<Shape>& shapes, const Setting& setting = {}) {
  return run(function, shapes, setting).names;
}

// Every level, phase, number of threads and choice gives the bits of `none` on one thread.
void expect_one_result(const Function& function, const std::vector<Shape>& shapes, const std::string& what) {
  for (Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (!supported(isa)) continue;
    const test::ForcedIsa forced(isa);
    for (Phase phase : {Phase::decode, Phase::prefill}) {
      const Outcome expected = run(function, shapes, {"none", 1, phase});
      const std::pair<const char*, int> settings[] = {
          {"all", 1}, {"all", 2}, {"all", 3}, {"all", 8}, {"all,-row_chain", 2}, {"none,+merged_linear", 3}};
      for (const auto& [fusion, threads] : settings) {
        const Outcome actual = run(function, shapes, {fusion, threads, phase});
        EXPECT_TRUE(actual.results == expected.results)
            << what << ", " << to_string(isa) << ", " << to_string(phase) << ", " << threads << " threads, " << fusion;
      }
    }
  }
}

// gelu(x gate) (x up), and a matmul behind it.
Function feed_forward(DType dtype, std::int64_t columns, std::int64_t inner) {
  return [=](const Arrays& x) -> Arrays {
    const Array gate = weight(dtype, inner, columns, 1), up = weight(DType::q8_0, inner, columns, 2);
    const Array down = weight(dtype, columns, inner, 3);
    return {linear(gelu_tanh(linear(x[0], gate)) * linear(x[0], up), down)};
  };
}

TEST(MergedLinear, TakesAllProductsOfOneX) {
  const Function products = [](const Arrays& x) -> Arrays {
    return {linear(x[0], weight(DType::q4_0, 96, 64, 1)), linear(x[0], weight(DType::q8_0, 48, 64, 2)),
            linear(x[0], weight(DType::f32, 7, 64, 3)), linear(x[1], weight(DType::q8_0, 48, 64, 4))};
  };
  const std::vector<Shape> shapes{{3, 64}, {3, 64}};
  const Names names = names_of(products, shapes);
  EXPECT_EQ(std::count(names.begin(), names.end(), "merged_linear"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "linear"), 1) << "another x";
  EXPECT_FALSE(has(names_of(products, shapes, {"none"}), "merged_linear"));
  EXPECT_FALSE(has(names_of(products, shapes, {"primitive"}), "merged_linear"));
  EXPECT_FALSE(has(names_of(products, shapes, {"all,-merged_linear"}), "merged_linear"));
  EXPECT_FALSE(has(names_of(products, shapes, {"all", 2, Phase::decode, Precision::f32}), "merged_linear"));
  expect_one_result(products, shapes, "merged");
}

TEST(LinearEpilogue, TakesGatedUnits) {
  const Function layer = feed_forward(DType::q4_0, 64, 160);
  for (Phase phase : {Phase::decode, Phase::prefill})
    for (std::int64_t rows : {1, 5}) {
      const Names names = names_of(layer, {{rows, 64}}, {"all", 2, phase});
      EXPECT_EQ(names, (Names{names[0], "linear_gelu_mul", "linear"})) << "the form of x, and two matmuls";
    }
  for (const char* fusion : {"none", "primitive", "all,-linear_epilogue"})
    EXPECT_FALSE(has(names_of(layer, {{1, 64}}, {fusion}), "linear_gelu_mul")) << fusion;
  EXPECT_FALSE(has(names_of(layer, {{1, 64}}, {"all", 2, Phase::decode, Precision::f32}), "linear_gelu_mul"));
}

TEST(LinearEpilogue, StaysAway) {
  const auto w = [](std::uint32_t seed) { return weight(DType::q8_0, 64, 64, seed); };
  const auto fires = [](const Function& function) {
    const Names names = names_of(function, {{2, 64}});
    return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("linear_"); });
  };
  EXPECT_TRUE(fires([&](const Arrays& x) -> Arrays { return {exp(linear(x[0], w(1)))}; }));
  EXPECT_TRUE(fires([&](const Arrays& x) -> Arrays { return {linear(x[0], w(1)) + x[0]}; })) << "a residual";
  EXPECT_FALSE(fires([&](const Arrays& x) -> Arrays {
    const Array y = linear(x[0], w(1));
    return {exp(y), transpose(y, {1, 0})};
  })) << "a second reader";
  EXPECT_FALSE(fires([&](const Arrays& x) -> Arrays {
    const Array y = linear(x[0], w(1));
    return {exp(y), y};
  })) << "a result of the graph";
  EXPECT_FALSE(fires([&](const Arrays& x) -> Arrays {
    const Array y = linear(x[0], w(1));
    return {y - mean(y, {-1}, true)};
  })) << "a reduction needs whole rows";
  EXPECT_FALSE(fires([&](const Arrays& x) -> Arrays { return {exp(reshape(linear(x[0], w(1)), {128}))}; }))
      << "another shape";
}

TEST(LinearEpilogue, ResultsThatOthersReadAreKept) {
  const Function function = [](const Arrays& x) -> Arrays {
    const Array y = exp(linear(x[0], weight(DType::q8_0, 96, 64, 1)) * 0.1) + x[1];
    return {linear(y, weight(DType::q8_0, 64, 96, 2)), sum(y, {-1})};
  };
  expect_one_result(function, {{3, 64}, {96}}, "kept");
}

TEST(LinearEpilogue, TileEdges) {
  const struct {
    std::int64_t rows, columns, inner;
  } sizes[] = {{1, 32, 32}, {1, 64, 8224}, {2, 64, 96}, {17, 64, 544}, {33, 32, 288}};
  for (const auto& [rows, columns, inner] : sizes)
    expect_one_result(feed_forward(DType::q5_0, columns, inner), {{rows, columns}},
                      fmt::format("{} rows, {} inside", rows, inner));
  // Outputs that are no multiple of a group, and fewer than one.
  for (std::int64_t outputs : {2, 10, 1030})
    expect_one_result(
        [=](const Arrays& x) -> Arrays { return {tanh(linear(x[0], weight(DType::q8_0, outputs, 64, 1))) * x[1]}; },
        {{3, 64}, {outputs}}, fmt::format("{} outputs", outputs));
}

TEST(LinearEpilogue, ManyRowsTakeSeveralPieces) {
  const Function layer = feed_forward(DType::q4_0, 32, 1056);
  const Outcome expected = run(layer, {{600, 32}}, {"none", 1, Phase::prefill});
  for (int threads : {1, 2, 3})
    EXPECT_TRUE(run(layer, {{600, 32}}, {"all", threads, Phase::prefill}).results == expected.results);
}

// Equal logits in different pieces, equal before or only after the softcap: the first wins.
TEST(LinearEpilogue, ArgmaxTakesTheFirstOfEquals) {
  constexpr std::int64_t vocabulary = 70000, columns = 32;
  const auto head = [&](double cap, std::vector<std::pair<std::int64_t, float>> rows) -> Function {
    return [=](const Arrays& x) -> Arrays {
      std::vector<float> values(static_cast<std::size_t>(vocabulary * columns), 0.0f);
      for (const auto& [row, value] : rows) std::fill_n(values.begin() + row * columns, columns, value);
      const Type type{DType::q8_0, {vocabulary, columns}};
      const BufferRef blocks = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
      quantise(type.dtype, values.data(), vocabulary * columns, blocks->data());
      const Array logits = linear(abs(x[0]) + 1.0, Array::constant(blocks, type, "head"));
      return {argmax(cap > 0 ? tanh(logits / cap) * cap : logits, -1)};
    };
  };
  const auto first_of = [](const Outcome& outcome) {
    std::int32_t index;
    std::memcpy(&index, outcome.results[0].data(), sizeof(index));
    return index;
  };
  const std::pair<Function, std::int32_t> cases[] = {
      {head(0, {{65000, 1.0f}, {1023, 1.0f}, {1024, 1.0f}, {40000, 0.5f}}), 1023},
      {head(0, {{69999, 1.0f}}), 69999},
      {head(0, {}), 0},
      {head(0.01, {{3000, 1.0f}, {50000, 2.0f}}), 3000},  // the cap makes them equal
  };
  for (const auto& [function, expected] : cases)
    for (const char* fusion : {"none", "all"})
      for (int threads : {1, 2, 3}) {
        const Outcome outcome = run(function, {{1, columns}}, {fusion, threads});
        EXPECT_EQ(first_of(outcome), expected) << fusion << ", " << threads << " threads";
        const bool chained = has(outcome.names, "linear_argmax") || has(outcome.names, "linear_softcap_argmax");
        EXPECT_EQ(chained, std::string(fusion) == "all");
      }
}

TEST(SplitBytes, SmallLaunchesStayOnOneThreadAndChangeNoBit) {
  const Function layer = feed_forward(DType::q4_0, 64, 160);
  for (Phase phase : {Phase::decode, Phase::prefill}) {
    const Outcome split = run(layer, {{64, 64}}, {"all", 3, phase, Precision::fast, 0});
    const Outcome alone = run(layer, {{64, 64}}, {"all", 3, phase, Precision::fast, std::int64_t{1} << 40});
    EXPECT_GT(split.split, 0);
    EXPECT_LT(alone.split, split.split);
    EXPECT_TRUE(alone.results == split.results);
  }
}

TEST(RowChain, NormsAndWhatFollowsThem) {
  const Function function = [](const Arrays& x) -> Arrays {
    const Array w = norm_weight(64, 9);
    const Array y = rms_norm(x[0] + x[1], w, 1e-6);
    return {linear(y, weight(DType::q8_0, 48, 64, 1)),
            rms_norm(reshape(y, {x[0].size(0), 4, 16}), norm_weight(16, 8), 1e-6)};
  };
  for (std::int64_t rows : {1, 2, 7, 40, 300}) {
    const std::vector<Shape> shapes{{rows, 64}, {rows, 64}};
    const Outcome expected = run(function, shapes, {"none", 1});
    for (int threads : {1, 2, 3, 8})
      EXPECT_TRUE(run(function, shapes, {"all", threads}).results == expected.results)
          << rows << " rows, " << threads << " threads";
    EXPECT_LT(names_of(function, shapes).size(), names_of(function, shapes, {"all,-row_chain"}).size()) << rows;
  }
}

// As AltUp's routers are: a norm, few outputs, and few more. Where rows are many they divide instead of outputs.
TEST(RowChain, TakesMatmulsOfManyRowsAndFewOutputs) {
  const Function router = [](const Arrays& x) -> Arrays {
    const Array modalities = tanh(linear(rms_norm(x[0], x[1], 1e-6), weight(DType::bf16, 4, 64, 1)));
    return {linear(modalities, weight(DType::f32, 16, 4, 2))};
  };
  const auto shapes = [](std::int64_t rows) { return std::vector<Shape>{{rows, 64}, {64}}; };
  const Outcome many = run(router, shapes(256), {"all", 2, Phase::prefill});
  EXPECT_EQ(many.names.size(), 1U);
  EXPECT_EQ(many.split, 1);
  EXPECT_EQ(run(router, shapes(1), {"all", 2, Phase::prefill}).split, 0);
  for (std::int64_t rows : {3, 127, 131, 256})
    expect_one_result(router, shapes(rows), fmt::format("router of {} rows", rows));
}

// softmax(q kᵀ) v: both right operands are packed before, and rows of scores are read while they are in cache.
TEST(RowChain, ScoresAndWhatTheyWeigh) {
  const Function attention = [](const Arrays& x) -> Arrays {
    return {matmul(softmax(matmul(x[0], swap_axes(x[1], -2, -1))), x[2])};
  };
  const auto shapes = [](std::int64_t heads, std::int64_t rows, std::int64_t keys) {
    return std::vector<Shape>{{heads, rows, 32}, {heads, keys, 32}, {heads, keys, 48}};
  };
  const Names names = names_of(attention, shapes(3, 250, 200));
  EXPECT_TRUE(has(names, "matmul_softmax")) << fmt::format("{}", fmt::join(names, " "));
  EXPECT_EQ(names.size(), 3U);
  // Too few rows for every thread to have some.
  EXPECT_FALSE(has(names_of(attention, shapes(1, 60, 200), {"all", 8}), "matmul_softmax"));
  for (const auto& [heads, rows, keys] : {std::array<std::int64_t, 3>{3, 250, 200}, {1, 401, 17}, {7, 23, 64}})
    expect_one_result(attention, shapes(heads, rows, keys), fmt::format("{} x {} x {}", heads, rows, keys));
}

// A range of the product's rows meets rows of x that others meet as well.
TEST(RowChain, RowsThatSeveralMatricesMeet) {
  const Function function = [](const Arrays& x) -> Arrays {
    return {matmul(reshape(softmax(x[0]), {256, 64}), x[1]), matmul(x[1], reshape(softmax(x[0]), {1, 64, 256}))};
  };
  expect_one_result(function, {{512, 32}, {2, 64, 64}}, "an operand for all of a batch");
}

// The operand that is packed depends on what would be in the chain.
TEST(RowChain, OperandsThatAreMadeOnTheWayStayThere) {
  const Function function = [](const Arrays& x) -> Arrays {
    const Array weights = softmax(matmul(x[0], x[1]));
    return {matmul(weights, swap_axes(weights, -2, -1))};
  };
  expect_one_result(function, {{2, 100, 32}, {2, 32, 100}}, "scores times themselves");
}

// What reads other rows than those it stands on must wait for all of them.
TEST(RowChain, RowsOfOthersAreNoneOfItsOwn) {
  const Function function = [](const Arrays& x) -> Arrays {
    const Array y = rms_norm(x[0], norm_weight(64, 9), 1e-6);
    return {rms_norm(slice(y, {1, 0}, {300, 64}) - slice(y, {0, 0}, {299, 64}), norm_weight(64, 8), 1e-6),
            exp(transpose(reshape(y, {300, 2, 32}), {1, 0, 2})) * 2.0,
            rms_norm(y * slice(y, {299, 0}, {300, 64}), norm_weight(64, 7), 1e-6)};
  };
  const std::vector<Shape> shapes{{300, 64}};
  const Outcome expected = run(function, shapes, {"none", 1});
  for (int threads : {2, 3, 8}) EXPECT_TRUE(run(function, shapes, {"all", threads}).results == expected.results);
}

// A weight without a packed form is packed as f32 and takes f32's kernels, whatever its own type would have; a matrix
// without columns gives zeros.
TEST(MergedLinear, KernelsFollowThePackedForm) {
  for (const Type& type : {Type{DType::e2m1_16, {24, 48}}, Type{DType::bf16, {24, 0}}}) {
    const std::vector<std::byte> blocks = test::random_blocks(type.dtype, type.elements(), 3);
    const BufferRef stored = Buffer::allocate(blocks.size());
    std::copy(blocks.begin(), blocks.end(), stored->data());
    const Array w = Array::constant(stored, type, "w");
    const Function function = [w](const Arrays& in) { return Arrays{linear(in[0], w)}; };
    const Shape x{3, type.shape[1]};
    for (Phase phase : {Phase::decode, Phase::prefill}) {
      SCOPED_TRACE(fmt::format("{} {}", to_string(type), to_string(phase)));
      Setting fast, exact;
      fast.phase = exact.phase = phase;
      exact.precision = Precision::f32;
      const Outcome a = run(function, {x}, fast), b = run(function, {x}, exact);
      ASSERT_EQ(a.results[0].size(), b.results[0].size());
      const auto* left = reinterpret_cast<const float*>(a.results[0].data());
      const auto* right = reinterpret_cast<const float*>(b.results[0].data());
      for (std::size_t i = 0; i < a.results[0].size() / sizeof(float); ++i) ASSERT_NEAR(left[i], right[i], 1e-4) << i;
    }
  }
}

}  // namespace
}  // namespace lazuli
