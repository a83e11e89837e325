// SPDX-License-Identifier: MIT
// Gemma 3n: what must not change a bit, what its graph becomes, AltUp by its formulas, and configurations.
// golden_test.cc has it against the published classes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/models/gemma/altup.h>
#include <lazuli/models/gemma/gemma3n.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/golden_model.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

namespace lazuli {
namespace {

using nlohmann::json;
using test::GoldenPrompt;

std::unique_ptr<LanguageModel> load(const std::string& golden, AltupForm form) {
  return load_model(test::golden_model_path(golden), {form});
}

// In the default precision, chunks and fusion change no bit.
TEST(Gemma3n, ChunksAndFusionChangeNoBit) {
  std::vector<std::vector<float>> outcomes;
  for (const auto& [chunk, fusion, threads] : std::vector<std::tuple<std::int64_t, std::string, int>>{
           {16, "all", 2}, {1, "all", 2}, {7, "all", 1}, {RunnerOptions::whole_prompt, "none", 2}, {16, "none", 1}}) {
    SessionOptions options;
    options.fusion = fusion;
    options.threads = threads;
    Session session(options);
    const auto model = load("gemma3n-gguf-q8_0", AltupForm::stacked);
    RunnerOptions runner_options;
    runner_options.chunk = chunk;
    Runner runner(*model, runner_options);
    const std::vector<GoldenPrompt> prompts =
        test::read_golden(test::golden_path("gemma3n-gguf-q8_0") + "/golden.safetensors");
    const Array logits = runner.prefill(prompts[3].ids);
    outcomes.emplace_back(logits.data<float>().begin(), logits.data<float>().end());
  }
  for (std::size_t i = 1; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i], outcomes[0]) << "setting " << i;
}

// What the passes leave of a prompt step of 11 rows: a number that is no other size of the model.
constexpr std::int64_t prompt_rows = 11;
constexpr std::int64_t layers = 10, owners = 5;

Graph fused_prefill(const LanguageModel& model, bool wants_logits) {
  RunnerOptions options;
  options.chunk = prompt_rows;
  Runner runner(model, options);
  const Runner::Step step = runner.prefill_step(prompt_rows);
  const CompiledFunction caches_only = compile([&model](const std::vector<Array>& arguments) {
    return model
        .forward({arguments[0], arguments[1], arguments[2], arguments[3], {arguments.begin() + 5, arguments.end()}})
        .caches;
  });
  const CompiledFunction& function = wants_logits ? step.function : caches_only;
  return static_cast<const CompiledGraph&>(*function.executable(step.arguments)).fused;
}

bool inside(const GraphNode& node, const std::string& scope) {
  return node.scope && (*node.scope == scope || node.scope->starts_with(scope + '.'));
}

// Rows that each matmul of a scope computes, ascending.
std::vector<std::int64_t> matmul_rows(const Graph& graph, const std::string& scope) {
  std::vector<std::int64_t> rows;
  for (const GraphNode& node : graph.nodes)
    if (node.op == Op::linear && inside(node, scope)) rows.push_back(node.type().elements() / node.type().shape.back());
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::string form_name(AltupForm form) { return form == AltupForm::stacked ? "stacked" : "split"; }

class Gemma3nRows : public testing::TestWithParam<AltupForm> {};

TEST_P(Gemma3nRows, OnlyTheLastRowRunsSharedLayersAndHead) {
  Session session;
  const auto model = load("gemma3n", GetParam());
  const Graph graph = fused_prefill(*model, /*wants_logits=*/true);
  auto layer = [](std::int64_t index) { return fmt::format("layers.{}", index); };
  // Router twice, 2 coefficients, q, k, v, o, LAuReL 2, MLP 3, per-layer 2.
  for (std::int64_t i = 0; i < owners - 1; ++i)
    EXPECT_EQ(matmul_rows(graph, layer(i)), std::vector<std::int64_t>(15, prompt_rows)) << layer(i);
  // The last owner: keys and values of all rows, and the prediction they come from.
  EXPECT_EQ(matmul_rows(graph, layer(owners - 1) + ".attention"),
            (std::vector<std::int64_t>{1, 1, prompt_rows, prompt_rows}));
  EXPECT_EQ(matmul_rows(graph, layer(owners - 1) + ".altup"),
            (std::vector<std::int64_t>{1, 1, prompt_rows, prompt_rows}));
  EXPECT_EQ(matmul_rows(graph, layer(owners - 1) + ".laurel"), (std::vector<std::int64_t>{1, 1}));
  EXPECT_EQ(matmul_rows(graph, layer(owners - 1) + ".mlp"), (std::vector<std::int64_t>{1, 1, 1}));
  EXPECT_EQ(matmul_rows(graph, layer(owners - 1) + ".per_layer_update"), (std::vector<std::int64_t>{1, 1}));
  for (std::int64_t i = owners; i < layers; ++i)
    EXPECT_EQ(matmul_rows(graph, layer(i)), std::vector<std::int64_t>(13, 1)) << layer(i);
  EXPECT_EQ(matmul_rows(graph, "altup_contract"), (std::vector<std::int64_t>{1, 1, 1}));
  EXPECT_EQ(matmul_rows(graph, "head"), (std::vector<std::int64_t>{1}));
  // Nothing else that the shared layers compute has the prompt's rows either.
  for (const GraphNode& node : graph.nodes) {
    if (is_view(node.op)) continue;
    for (std::int64_t i = owners; i < layers; ++i) {
      if (inside(node, layer(i)) || inside(node, "altup_contract") || inside(node, "head")) {
        EXPECT_EQ(std::ranges::count(node.type().shape, prompt_rows), 0) << node.name() << " in " << *node.scope;
      }
    }
  }
}

TEST_P(Gemma3nRows, CachesAloneRunNoSharedLayer) {
  Session session;
  const auto model = load("gemma3n", GetParam());
  const Graph graph = fused_prefill(*model, /*wants_logits=*/false);
  EXPECT_EQ(matmul_rows(graph, "layers.3"), std::vector<std::int64_t>(15, prompt_rows));
  // The last owner's keys and values, and the prediction they come from.
  EXPECT_EQ(matmul_rows(graph, "layers.4"), std::vector<std::int64_t>(4, prompt_rows));
  for (const GraphNode& node : graph.nodes) {
    EXPECT_FALSE(inside(node, "head") || inside(node, "altup_contract")) << node.name();
    for (std::int64_t i = owners; i < layers; ++i)
      EXPECT_FALSE(inside(node, fmt::format("layers.{}", i))) << node.name();
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, Gemma3nRows, testing::Values(AltupForm::stacked, AltupForm::split),
                         [](const auto& info) { return form_name(info.param); });

std::int64_t count_fused(const Graph& graph, std::string_view name, const std::string& scope) {
  return std::ranges::count_if(graph.nodes, [&](const GraphNode& node) {
    return node.op == Op::fused && node.name() == name && inside(node, scope);
  });
}

TEST(Gemma3n, EveryLayerIsFused) {
  Session session;
  const auto model = load("gemma3n", AltupForm::stacked);
  const Graph graph = fused_prefill(*model, /*wants_logits=*/true);
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = fmt::format("layers.{}", i);
    EXPECT_EQ(count_fused(graph, "altup_predict", layer), 1) << layer;
    EXPECT_EQ(count_fused(graph, "altup_correct", layer), 1) << layer;
    EXPECT_EQ(count_fused(graph, "gelu_mul", layer), 2) << layer;  // MLP and per-layer update
  }
  EXPECT_EQ(count_fused(graph, "softcap", "head"), 1);
}

// The limits are applied to constants: once, when the model is compiled.
TEST(Gemma3n, CoefficientsAreLimitedOnce) {
  Session session;
  const auto model = load("gemma3n", AltupForm::stacked);
  const Graph graph = fused_prefill(*model, /*wants_logits=*/true);
  for (const GraphNode& node : graph.nodes) {
    const bool is_coefficients =
        !node.types.empty() && (node.type().shape == Shape{16, 4} || node.type().shape == Shape{4, 4});
    EXPECT_TRUE(!is_coefficients || node.op == Op::constant) << node.name();
  }
}

// AltUp by its formulas, one token at a time.
constexpr std::int64_t tokens = 3, planes = 4, width = 8;

std::vector<float> numbers(std::size_t count, double seed) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(std::sin(seed + 1.7 * static_cast<double>(i)));
  return values;
}
Array array(const std::vector<float>& values, Shape shape) { return Array::from(values, std::move(shape)); }

struct AltupExample {
  std::vector<float> x = numbers(planes * tokens * width, 1), activated = numbers(tokens * width, 2);
  std::vector<float> norm = numbers(width, 3), router = numbers(planes * width, 4);
  std::vector<float> prediction = numbers(planes * planes * planes, 5), correction = numbers(planes * planes, 6);
  Altup altup;

  explicit AltupExample(std::int64_t active) {
    for (float& value : router) value *= 20;
    prediction[7] = 200;  // beyond the limit
    altup.active = active;
    altup.router_norm = {array(norm, {width}), 1e-6};
    altup.router = {array(router, {planes, width})};
    altup.prediction = clipped(array(prediction, {planes * planes, planes}), 120);
    altup.correction = clipped(array(correction, {planes, planes}), 120);
    prediction[7] = 120;
  }

  AltupPlanes as(AltupForm form) const {
    const Array stack = array(x, {planes, tokens, width});
    return form == AltupForm::stacked ? AltupPlanes::from_stack(stack, altup.active)
                                      : AltupPlanes::from_parts(unstack(stack, 0), altup.active);
  }
  // coefficients · tanh(router · norm(row) / width)
  std::vector<double> coefficients(const float* row, const std::vector<float>& matrix) const {
    double sum = 0;
    for (std::int64_t h = 0; h < width; ++h) sum += static_cast<double>(row[h]) * row[h];
    const double scale = 1 / std::sqrt(sum / width + 1e-6);
    std::vector<double> result(matrix.size() / planes);
    for (std::size_t k = 0; k < result.size(); ++k)
      for (std::size_t i = 0; i < planes; ++i) {
        double dot = 0;
        for (std::size_t h = 0; h < width; ++h) dot += router[i * width + h] * (row[h] * scale * norm[h] / width);
        result[k] += matrix[k * planes + i] * std::tanh(dot);
      }
    return result;
  }
};

void expect_near(const AltupPlanes& result, const std::vector<double>& expected) {
  const Array stacked = stack(result.parts());
  const std::span<const float> values = stacked.data<float>();
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-4) << i;
}

class AltupByHand : public testing::TestWithParam<std::tuple<AltupForm, std::int64_t>> {};

TEST_P(AltupByHand, PredictsAndCorrects) {
  const auto [form, active] = GetParam();
  Session session;
  const AltupExample example(active);
  const auto at = [](std::size_t plane, std::size_t token) { return (plane * tokens + token) * width; };
  std::vector<double> predicted(example.x.size()), corrected(example.x.size());
  for (std::size_t t = 0; t < tokens; ++t) {
    const std::size_t from = at(static_cast<std::size_t>(active), t);
    const std::vector<double> c = example.coefficients(&example.x[from], example.prediction);
    const std::vector<double> e = example.coefficients(&example.activated[t * width], example.correction);
    for (std::size_t h = 0; h < width; ++h) {
      for (std::size_t j = 0; j < planes; ++j) {
        double value = example.x[at(j, t) + h];
        for (std::size_t i = 0; i < planes; ++i) value += c[planes * j + i] * example.x[at(i, t) + h];
        predicted[at(j, t) + h] = value;
      }
      const double innovation = example.activated[t * width + h] - predicted[from + h];
      for (std::size_t j = 0; j < planes; ++j)
        corrected[at(j, t) + h] = predicted[at(j, t) + h] + (1 + e[j]) * innovation;
    }
  }
  const Array activated = array(example.activated, {tokens, width});
  const AltupPlanes prediction = example.altup.predict(example.as(form));
  const AltupPlanes correction = example.altup.correct(prediction, activated);
  EXPECT_EQ(prediction.is_stacked(), form == AltupForm::stacked);
  expect_near(prediction, predicted);
  expect_near(correction, corrected);
  std::vector<double> updated = corrected;
  for (std::size_t j = 1; j < planes; ++j)
    for (std::size_t i = 0; i < tokens * width; ++i) updated[j * tokens * width + i] += example.activated[i];
  expect_near(example.altup.add_behind_first(correction, activated), updated);
}

INSTANTIATE_TEST_SUITE_P(Forms, AltupByHand,
                         testing::Combine(testing::Values(AltupForm::stacked, AltupForm::split), testing::Values(0, 2)),
                         [](const auto& info) {
                           return fmt::format("{}_active_{}", form_name(std::get<0>(info.param)),
                                              std::get<1>(info.param));
                         });

TEST(AltupEmbedding, ZerosStayFinite) {
  Session session;
  AltupEmbedding embedding;
  const Linear nothing{zeros({width, width})};
  embedding.expansions = embedding.contractions = {nothing, nothing, nothing};
  const Array embedded = array(numbers(tokens * width, 1), {tokens, width});
  const Array back = embedding.contract(embedding.expand(embedded)) * 4.0;
  for (std::size_t i = 0; i < tokens * width; ++i) EXPECT_NEAR(back.data<float>()[i], embedded.data<float>()[i], 1e-6);
}

// Multimodal ids lie past the end of the per-layer table.
TEST(PerLayerInputs, IdsPastTheTableReadRowZero) {
  Session session;
  PerLayerInputs inputs;
  inputs.table = array(numbers(4 * 6, 1), {4, 6});
  inputs.projection = {array(numbers(6 * 8, 2), {6, 8})};
  inputs.projection_norm = {array(numbers(3, 3), {3})};
  inputs.layers = 2;
  const Array embedded = broadcast_to(array(numbers(8, 4), {1, 8}), {4, 8});
  const Array result = inputs(Array::from({0, 3, 4, 9}, {4}), embedded);
  ASSERT_EQ(result.shape(), (Shape{4, 2, 3}));
  const std::span<const float> values = result.data<float>();
  const std::vector<float> row0(values.begin(), values.begin() + 6), row1(values.begin() + 6, values.begin() + 12);
  EXPECT_NE(row0, row1);
  EXPECT_EQ(row0, std::vector<float>(values.begin() + 12, values.begin() + 18));
  EXPECT_EQ(row0, std::vector<float>(values.begin() + 18, values.end()));
}

// Configurations.
TEST(Gemma3nConfig, DefaultsAreThePublishedE4b) {
  const Gemma3nConfig config = Gemma3nConfig::from_json(json::object());
  EXPECT_EQ(config.layers, 35);
  EXPECT_EQ(config.owner_layers(), 20);
  EXPECT_EQ(config.intermediate_size, std::vector<std::int64_t>(35, 16384));
  EXPECT_EQ(config.vocab_size, 262400);
  EXPECT_EQ(config.vocab_size_per_layer, 262144);
  EXPECT_EQ(config.final_softcap, 30);
  EXPECT_EQ(config.rope_base_global, 1e6);
  EXPECT_EQ(config.rope_base_sliding, 1e4);
  for (std::int64_t layer = 0; layer < 35; ++layer) {
    const auto i = static_cast<std::size_t>(layer);
    EXPECT_EQ(config.sliding[i], (layer + 1) % 5 != 0) << layer;
    EXPECT_EQ(config.kv_layer(layer), layer < 20 ? layer : config.sliding[i] ? 18 : 19) << layer;
    if (layer < 10)
      EXPECT_NEAR(config.sparsity_cutoff[i], 1.6448536269514722, 1e-14);
    else
      EXPECT_EQ(config.sparsity_cutoff[i], Gemma3nConfig::dense);
  }
}

TEST(Gemma3nConfig, SparsityIsReadPerLayer) {
  auto cutoffs = [](const json& pattern, int count) {
    const json config = {
        {"num_hidden_layers", count}, {"num_kv_shared_layers", 0}, {"activation_sparsity_pattern", pattern}};
    return Gemma3nConfig::from_json(config).sparsity_cutoff;
  };
  EXPECT_EQ(cutoffs(nullptr, 10), std::vector<double>(10, Gemma3nConfig::dense));
  EXPECT_EQ(std::ranges::count(cutoffs(nullptr, 11), Gemma3nConfig::dense), 1);
  const std::vector<double> read = cutoffs({0.0, 0.5, 0.975, 0.1, 0.999999}, 5);
  EXPECT_EQ(read[0], Gemma3nConfig::dense);
  EXPECT_NEAR(read[1], 0, 1e-15);
  EXPECT_NEAR(read[2], 1.959963984540054, 1e-13);
  EXPECT_NEAR(read[3], -1.2815515655446004, 1e-13);
  EXPECT_NEAR(read[4], 4.753424308822899, 1e-9);
}

TEST(Gemma3nConfig, ErrorsNameTheKey) {
  auto error_of = [](const json& config) { return test::error_of([&] { Gemma3nConfig::from_json(config); }); };
  EXPECT_NE(error_of({{"altup_active_idx", 4}}).find("AltUp plane 4 of 4"), std::string::npos);
  EXPECT_NE(error_of({{"intermediate_size", {1, 2}}}).find("intermediate_size has 2 elements"), std::string::npos);
  EXPECT_NE(error_of({{"activation_sparsity_pattern", {0.5}}}).find("activation_sparsity_pattern is a list of 1"),
            std::string::npos);
  EXPECT_NE(error_of({{"num_kv_shared_layers", 35}}).find("35 of 35 layers share"), std::string::npos);
  // 3 owners, all sliding; the shared layers hold a global one.
  EXPECT_NE(
      error_of({{"num_hidden_layers", 6}, {"num_kv_shared_layers", 3}}).find("none of the first 3 layers is global"),
      std::string::npos);
}

}  // namespace
}  // namespace lazuli
