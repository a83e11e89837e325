// SPDX-License-Identifier: MIT
// What a session promises to programs: values, errors, streams, donation, cached programs.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

namespace lazuli {
namespace {

using Floats = std::vector<float>;
using test::error_of;

SessionOptions with_threads(int threads) {
  SessionOptions options;
  options.threads = threads;
  return options;
}

Array vector(Floats values) { return Array::from(values, {static_cast<std::int64_t>(values.size())}); }
Array indices(std::vector<std::int32_t> values) {
  return Array::from(values, {static_cast<std::int64_t>(values.size())});
}

Floats floats(const Array& array) {
  const auto data = array.data<float>();
  return {data.begin(), data.end()};
}

Array weight(float value, Shape shape, std::string label = "w") {
  const Type type{DType::f32, std::move(shape)};
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::fill_n(buffer->as<float>(), type.elements(), value);
  return Array::constant(std::move(buffer), type, std::move(label));
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::int64_t count_of(const Graph& graph, std::string_view name) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const GraphNode& node) { return node.name() == name; });
}

// Nodes by which `take` of the row `row` of a table of four fails when it runs.
Array row_of_four(int row) {
  const Scope outer("layers", 3), inner("embed");
  return take(vector({1, 2, 3, 4}), indices({row}), 0);
}

// Long enough that async_eval returns before it is done.
Array slow(const Array& seed) {
  Array x = broadcast_to(seed, {600, 600});
  for (int i = 0; i < 6; ++i) x = matmul(x, full({600, 600}, 1.0 / 600));
  return x;
}

TEST(Session, EvaluatesScalarsAndArrays) {
  Session session;
  const Array x = vector({1, 2, 3});
  const Array y = x * 2.0 + 1.0;
  EXPECT_FALSE(y.evaluated());
  session.eval(y);
  EXPECT_TRUE(y.evaluated());
  EXPECT_EQ(floats(y), Floats({3, 5, 7}));
  EXPECT_EQ(sum(y, {0}).item<float>(), 15.0f);
  EXPECT_EQ(sum(cast(y, DType::i32), {0}).item<int>(), 15);
  EXPECT_EQ(Array(7).item<int>(), 7);
  EXPECT_EQ(scalar(2.5).item<double>(), 2.5);
  EXPECT_THROW(y.item<float>(), Error);
  EXPECT_THROW(y.data<std::int64_t>(), Error);
}

TEST(Session, AsyncEvalAndWait) {
  Session session;
  const Array x = slow(scalar(2)), y = x + 1.0;
  async_eval({x, y});
  EXPECT_TRUE(x.evaluated());
  wait(y);
  EXPECT_NEAR(x.data<float>()[0], 2, 1e-4);
  EXPECT_NEAR(y.data<float>()[359999], 3, 1e-4);
  EXPECT_TRUE(contains(error_of([] { wait(scalar(1)); }), "never evaluated"));
}

TEST(Session, ReferenceBackendToo) {
  SessionOptions options;
  options.backend = "reference";
  Session session(options);
  const Array x = vector({1, 2, 3}) * 2.0;
  async_eval({x});
  EXPECT_EQ(floats(exp(x - x)), Floats({1, 1, 1}));
  const Array failing = row_of_four(4);
  async_eval({failing});
  EXPECT_TRUE(contains(error_of<ExecutionError>([&] { wait(failing); }), "take"));
}

TEST(Session, WithoutOneEvaluationSaysSo) {
  EXPECT_FALSE(has_evaluator());
  const Array x = vector({1}) + 1.0;
  EXPECT_TRUE(contains(error_of([&] { eval({x}); }), "no session on this thread"));
  EXPECT_FALSE(x.evaluated());
  EXPECT_EQ(vector({4}).item<float>(), 4.0f);  // has its value already
  Session session;
  EXPECT_EQ(x.item<float>(), 2.0f);
}

TEST(Session, RejectsUnknownOptions) {
  const auto refusal = [](auto change) {
    SessionOptions options;
    change(options);
    return error_of([&] { Session session(options); });
  };
  EXPECT_TRUE(contains(refusal([](auto& options) { options.backend = "tpu"; }), "unknown backend 'tpu'"));
  EXPECT_TRUE(contains(refusal([](auto& options) { options.fusion = "most"; }), "\"most\""));
  EXPECT_TRUE(contains(refusal([](auto& options) { options.fusion = "all,-nothing"; }), "nothing"));
  EXPECT_TRUE(contains(refusal([](auto& options) { options.threads = -1; }), "threads: -1"));
  EXPECT_FALSE(has_evaluator());
}

// A loop, and a product whose written kernel every level has.
TEST(Session, TheLevelIsTheSessions) {
  for (const IsaLevel& level : isa_levels()) {
    SessionOptions options;
    options.isa = level.isa;
    if (!level.usable) {
      const std::string error = error_of([&] { Session session(options); });
      EXPECT_TRUE(error.starts_with(fmt::format("isa: this host cannot run '{}': ", to_string(level.isa)))) << error;
      continue;
    }
    Session session(options);
    EXPECT_EQ(session.isa(), level.isa);
    const Array x = Array::from(std::vector<float>(32, 1.0f), {1, 32});
    const Array weight = Array::constant(Buffer::allocate(16 * 32 * 4), {DType::f32, {16, 32}}, "weight");
    const Graph graph = graph_of({linear(exp(x) + 1.0, weight)});
    const auto compiled = std::static_pointer_cast<CompiledGraph>(session.prepare(graph, {}));
    std::string loops;
    for (const ProgramStep& step : compiled->program->steps()) {
      if (step.kernel.starts_with("exp")) loops = step.isa;
      EXPECT_FALSE(step.isa.empty()) << step.kernel;
      for (const IsaLevel& above : isa_levels())
        if (above.isa > level.isa) {
          EXPECT_EQ(step.isa.find(to_string(above.isa)), std::string::npos) << step.kernel;
        }
    }
    EXPECT_EQ(loops, to_string(std::min(level.isa, Isa::avx512)));
  }
}

TEST(Session, KernelErrorReachesTheWaiter) {
  Session session;
  const Array failing = row_of_four(4);
  const Array dependent = failing + 1.0;
  async_eval({failing});
  const std::string error = error_of<ExecutionError>([&] { wait(failing); });
  EXPECT_TRUE(contains(error, "take")) << error;
  EXPECT_TRUE(contains(error, "layers.3.embed")) << error;
  EXPECT_TRUE(contains(error, "index 4")) << error;
  EXPECT_TRUE(contains(error, "[0, 4)")) << error;
  EXPECT_EQ(error_of<ExecutionError>([&] { wait(failing); }), error);
  EXPECT_EQ(error_of<ExecutionError>([&] { failing.bytes(); }), error);
  EXPECT_EQ(error_of<ExecutionError>([&] { dependent.item<float>(); }), error);
  EXPECT_EQ(row_of_four(3).item<float>(), 4.0f);
  EXPECT_TRUE(contains(error_of<ExecutionError>([] { eval({row_of_four(-1)}); }), "index -1"));
  EXPECT_EQ(row_of_four(0).item<float>(), 1.0f);
}

TEST(Session, KernelErrorOnManyThreads) {
  Session session(with_threads(4));
  const Array table = full({8, 100000}, 1);
  for (int i = 0; i < 20; ++i) {
    const Array failing = take(table + 1.0, indices({1, 2, 3, 4, 5, 6, 7, 8}), 0) * 2.0;
    EXPECT_THROW(eval({failing}), ExecutionError);
    EXPECT_EQ((take(table, indices({7, 0}), 0) * 2.0).data<float>()[150000], 2.0f);
  }
}

// A weight whose bytes cannot be had is an error of the program that needs it, and of nothing after it.
TEST(Session, AWeightThatCannotBeReadMayBeReadLater) {
  const Type type{DType::f32, {32, 64}};
  const std::vector<float> ones(32 * 64, 1.0f);
  for (const Precision precision : {Precision::fast, Precision::f32}) {
    bool readable = false;
    const auto prepare = [&] {
      if (!readable) fail("module w: cannot be read");
    };
    SessionOptions options;
    options.precision = precision;
    Session session(options);
    const BufferRef buffer =
        Buffer::view(ones.data(), ones.size() * sizeof(float), nullptr, [](std::size_t, std::size_t) {}, prepare);
    const Array w = Array::constant(buffer, type, "w");
    EXPECT_TRUE(contains(error_of([&] { eval({linear(full({1, 64}, 1), w)}); }), "module w: cannot be read"));
    EXPECT_EQ(session.statistics().weight_bytes, 0);
    readable = true;
    EXPECT_EQ(linear(full({1, 64}, 1), w).data<float>()[31], 64.0f);
    EXPECT_GT(session.statistics().weight_bytes, 0);
  }
}

TEST(Session, CompileErrorLeavesTheArrayUnevaluated) {
  Session session;
  const Type type{DType::q4_0, {2, 3, 32}};
  const Array weight = Array::from(Buffer::allocate(static_cast<std::size_t>(type.bytes())), type);
  const Array product = expert_linear(full({1, 1, 32}, 1), weight, zeros({1, 1}, DType::i32));
  EXPECT_TRUE(contains(error_of<CompileError>([&] { eval({product}); }), "must be a constant"));
  EXPECT_FALSE(product.evaluated());
}

TEST(Session, PlaceholderHasNoData) {
  Session session;
  const Array x = placeholder({DType::f32, {2}}, "tokens");
  EXPECT_TRUE(contains(error_of([&] { eval({x + 1.0}); }), "tokens"));
  EXPECT_THROW(eval({Array()}), Error);
}

TEST(Session, StreamsOverlapAndDependOnEachOther) {
  Session session;
  const Array x = slow(scalar(3));
  async_eval({x}, Stream{1});
  const Array y = x * 2.0;
  async_eval({y}, Stream{2});
  const Array z = vector({1, 2}) + 1.0;
  async_eval({z});
  EXPECT_EQ(floats(z), Floats({2, 3}));
  EXPECT_NEAR(y.data<float>()[7], 6, 1e-3);
}

TEST(Session, DestroyedWithWorkInFlight) {
  Array x, y;
  {
    Session session;
    x = slow(scalar(2));
    async_eval({x}, Stream{3});
    y = x + 1.0;
    async_eval({y});
  }
  EXPECT_NEAR(x.data<float>()[0], 2, 1e-4);
  EXPECT_NEAR(y.data<float>()[0], 3, 1e-4);
}

TEST(Session, EvaluatingAgainIsFree) {
  Session session;
  const Array x = vector({1, 2}) + 1.0;
  eval({x});
  const std::byte* memory = x.bytes();
  const std::int64_t programs = session.statistics().programs;
  eval({x, x});
  async_eval({x});
  EXPECT_EQ(x.bytes(), memory);
  EXPECT_EQ(session.statistics().programs, programs);
}

TEST(Session, SharedPartsAreComputedOnce) {
  Session session;
  const Array x = vector({1, 2}) + 1.0;
  const Array y = x * 2.0, z = x * 3.0;
  eval({x, y, z, y});
  EXPECT_EQ(session.statistics().programs, 1);
  EXPECT_EQ(floats(x), Floats({2, 3}));
  EXPECT_EQ(floats(y), Floats({4, 6}));
  EXPECT_EQ(floats(z), Floats({6, 9}));
}

TEST(Session, OutputsOfOneNodeEvaluateTogether) {
  Session session;
  const TopK best = top_k(vector({3, 9, 4}), 2);
  eval({best.values});
  EXPECT_TRUE(best.indices.evaluated());
  EXPECT_EQ(floats(cast(best.indices, DType::f32) + best.values), Floats({10, 6}));
}

TEST(Session, ThreadsDoNotChangeBits) {
  const auto compute = [](int threads) {
    Session session(with_threads(threads));
    EXPECT_EQ(session.threads(), threads);
    const Array x = random::normal({65, 700}, DType::f32, 1);
    const Array y = gelu_tanh(matmul(x, random::normal({700, 130}, DType::f32, 2))) *
                    rms_norm(random::normal({65, 130}, DType::f32, 3), 1e-6);
    return floats(concatenate({reshape(y, {-1}), reshape(softmax(x), {-1}), sum(x, {0}), mean(x, {1})}, 0));
  };
  const Floats one = compute(1);
  EXPECT_EQ(one, compute(2));
  EXPECT_EQ(one, compute(3));
}

class ForeignExecutor final : public Executor {
 public:
  ForeignExecutor() : Executor(2) {}
  int runs = 0;

 private:
  void dispatch(FunctionRef<void(int worker)> body) override {
    ++runs;
    std::thread other([&] { body(1); });
    body(0);
    other.join();
  }
};

TEST(Session, RunsOnAForeignExecutor) {
  ForeignExecutor executor;
  {
    SessionOptions options;
    options.executor = &executor;
    Session session(options);
    EXPECT_EQ(session.threads(), 2);
    const Array x = full({300, 1000}, 2) + random::uniform({300, 1000}, DType::f32, 1) * 0.0;
    EXPECT_EQ(sum(x * 2.0, {0, 1}).item<float>(), 1.2e6f);
  }
  EXPECT_GT(executor.runs, 0);
}

// Programs and their cache

TEST(ProgramCache, LayersOfOneShapeDoNotShareWeights) {
  Session session;
  const Array x = vector({1, 1});
  const Array first = linear(x, weight(2, {3, 2})), second = linear(x, weight(5, {3, 2}));
  eval({first});
  eval({second});
  EXPECT_EQ(floats(first), Floats({4, 4, 4}));
  EXPECT_EQ(floats(second), Floats({10, 10, 10}));
}

TEST(ProgramCache, EqualStructureCompilesOnce) {
  Session session;
  const Array w = weight(2, {3, 2});
  for (int i = 0; i < 10; ++i) {
    const Scope scope("step", i);  // scopes are not part of the key
    const auto value = static_cast<float>(i);
    EXPECT_EQ(floats(linear(vector({value, value}), w) + 1.0)[0], 4 * value + 1);
  }
  EXPECT_EQ(session.statistics().programs, 1);
  eval({linear(vector({1, 1}), w) + 2.0});  // numbers are no part of the structure
  EXPECT_EQ(session.statistics().programs, 1);
}

TEST(ProgramCache, DecodeStepsCompileOnce) {
  Session session;
  const Array table = random::normal({50, 32}, DType::f32, 1);
  Array cache = zeros({128, 1, 32}) + 0.0, token = indices({3});
  eval({table, cache, token});
  for (std::int32_t step = 0; step < 100; ++step) {
    const Array position = indices({step}), x = reshape(take_rows(table, token), {1, 1, 32});
    cache = slice_update(cache, rope(x, position, RopeAttrs{}), reshape(position, {}), 0);
    const Array y = attention(x, cache, cache, position, Array::from({step + 1}, {}), {0.2, 0});
    token = argmax(matmul(reshape(y, {1, 32}), transpose(table, {1, 0})));
    async_eval({token, cache});
  }
  wait(token);
  EXPECT_LE(session.statistics().programs, 3);  // the first step reads values of other origin than those after it
}

TEST(ProgramCache, ConstantsAreFoldedOnce) {
  Session session;
  const Array w = weight(0.5, {4});
  const Array y = rms_norm(vector({1, 1, 1, 1}), 1.0 + w, 0);
  const Array outputs[] = {y};
  const Graph graph = session.optimised(outputs);
  EXPECT_EQ(count_of(graph, "add"), 0);
  EXPECT_EQ(count_of(graph, "constant"), 1);
  EXPECT_EQ(floats(y), Floats({1.5, 1.5, 1.5, 1.5}));
}

TEST(ProgramCache, PlanShowsWhatRuns) {
  Session session;
  const Array y = transpose(exp(reshape(vector({0, 0, 0, 0}), {2, 2}) * 2.0), {1, 0});
  const Graph plan = session.plan({y});
  EXPECT_EQ(count_of(plan, "transpose") + count_of(plan, "reshape"), 0);
  ASSERT_EQ(plan.outputs.size(), 1u);
  EXPECT_FALSE(y.evaluated());
}

TEST(ProgramCache, WeightsAreLaidOutForRunsAlone) {
  SessionOptions options;
  options.disk_cache = false;
  int told = 0;
  options.on_weight = [&](const std::string&, std::int64_t) { ++told; };
  Session session(options);
  const Array w = weight(0.5, {4, 2});
  // Held, so that no call may take their memory over: that would be another program.
  const Array x = vector({1, 2}), other = vector({3, 2});
  const Array outputs[] = {linear(x, w)};
  session.plan(outputs);
  session.optimised(outputs);
  EXPECT_EQ(session.statistics().programs, 1);
  EXPECT_EQ(session.statistics().laid_out_weights, 0);
  EXPECT_EQ(session.statistics().weight_bytes, 0);
  EXPECT_EQ(told, 0);
  EXPECT_EQ(floats(outputs[0]), Floats({1.5, 1.5, 1.5, 1.5}));
  EXPECT_EQ(session.statistics().laid_out_weights, 1);
  EXPECT_GT(session.statistics().weight_bytes, 0);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(floats(linear(other, w)), Floats({2.5, 2.5, 2.5, 2.5}));
  EXPECT_EQ(session.statistics().programs, 1);
  EXPECT_EQ(session.statistics().laid_out_weights, 1);
}

// compile()

TEST(Compile, TracesOncePerSignature) {
  Session session;
  int traced = 0;
  const CompiledFunction twice = compile([&](const std::vector<Array>& x) {
    ++traced;
    return std::vector<Array>{x[0] * 2.0, sum(x[0], {0})};
  });
  for (float value : {1.0f, 2.0f, 3.0f}) {
    const std::vector<Array> y = twice({vector({value, value})});
    EXPECT_EQ(floats(y[0]), Floats({2 * value, 2 * value}));
    EXPECT_EQ(y[1].item<float>(), 2 * value);
  }
  EXPECT_EQ(traced, 1);
  EXPECT_EQ(twice.signatures(), 1);
  EXPECT_EQ(twice({vector({1, 1, 1})})[1].item<float>(), 3.0f);
  EXPECT_EQ(twice({Array::from({4, 4}, {2}) + 0})[1].item<int>(), 8);
  EXPECT_EQ(traced, 3);
  EXPECT_EQ(twice({vector({1, 1}) + 1.0})[1].item<float>(), 4.0f);  // evaluates its argument first
  EXPECT_EQ(traced, 3);
}

TEST(Compile, RejectsWhatItCannotTrace) {
  Session session;
  const auto in_layer = [] {
    const Scope layer("layers", 3), mlp("mlp");
    return placeholder({DType::f32, {1}}, "hidden");
  };
  const Array outside = in_layer();
  const CompiledFunction closure =
      compile([&](const std::vector<Array>& x) { return std::vector<Array>{x[0] + outside}; });
  EXPECT_EQ(error_of([&] { closure({vector({1})}); }), "compile: the function reads f32[1] hidden" +
                                                           Scope::where(outside.node()->scope) +
                                                           ", a placeholder of another trace; pass it as an argument");
  EXPECT_TRUE(contains(Scope::where(outside.node()->scope), "layers.3.mlp"));
  EXPECT_EQ(closure.signatures(), 0);
  const CompiledFunction mismatch =
      compile([](const std::vector<Array>& x) { return std::vector<Array>{matmul(x[0], x[0])}; });
  EXPECT_THROW(mismatch({full({2, 3}, 1)}), Error);
  EXPECT_THROW(CompiledFunction()({outside}), Error);
  EXPECT_THROW(closure({Array()}), Error);
}

TEST(Compile, CapturesArraysAsConstants) {
  Session session;
  Array scale = vector({2, 3}) * 2.0;
  const Array table = vector({10, 20}), lazy = table + 1.0;
  eval(scale);
  const CompiledFunction function =
      compile([&](const std::vector<Array>& x) { return std::vector<Array>{x[0] * scale + lazy}; });
  EXPECT_EQ(floats(function({vector({1, 1})})[0]), Floats({15, 27}));
  const Graph& graph = function.graph({vector({1, 1})});
  EXPECT_EQ(count_of(graph, "constant"), 2);
  EXPECT_EQ(count_of(graph, "input"), 1);
  scale = vector({0, 0});  // too late
  EXPECT_EQ(floats(function({vector({1, 1})})[0]), Floats({15, 27}));
}

TEST(Compile, CapturedMemoryIsNotTakenOver) {
  Session session;
  Array state = full({2, 2}, 1) + 0.0;
  eval(state);
  const CompiledFunction function =
      compile([&](const std::vector<Array>& x) { return std::vector<Array>{x[0] + state}; });
  EXPECT_EQ(floats(function({full({2, 2}, 1)})[0]), Floats({2, 2, 2, 2}));
  state = slice_update(state, Array::from({7.0f, 8.0f}, {1, 2}), 0, 0);
  eval(state);
  EXPECT_EQ(floats(function({full({2, 2}, 1)})[0]), Floats({2, 2, 2, 2}));
}

TEST(Compile, InlinesCompiledFunctions) {
  Session session;
  const CompiledFunction inner =
      compile([](const std::vector<Array>& x) { return std::vector<Array>{x[0] * 2.0 + 1.0}; });
  const CompiledFunction outer =
      compile([&](const std::vector<Array>& x) { return std::vector<Array>{inner({inner({x[0]})[0]})[0]}; });
  EXPECT_EQ(floats(outer({vector({1, 2})})[0]), Floats({7, 11}));
  EXPECT_EQ(session.statistics().programs, 1);
  EXPECT_EQ(inner.signatures(), 0);
}

TEST(Session, AValueBecomesAConstant) {
  Session session;
  const Array weight = constant(vector({1, 2}) * 3.0, "weight");
  EXPECT_EQ(weight.node()->op, Op::constant);
  EXPECT_EQ(weight.node()->label, "weight");
  EXPECT_EQ(floats(weight + 1.0), Floats({4, 7}));
}

CompiledFunction updating_first_row() {
  CompileOptions options;
  options.donate = {0};
  return compile([](const std::vector<Array>& x) { return std::vector<Array>{slice_update(x[0], x[1], 0, 0)}; },
                 options);
}

TEST(Compile, DonatedArgumentIsUpdatedInPlace) {
  Session session;
  const CompiledFunction update = updating_first_row();
  Array state = full({4, 2}, 1) + 0.0;
  const std::byte* memory = state.bytes();
  for (float value : {5.0f, 6.0f}) state = update(std::move(state), Array::from({value, value}, {1, 2}))[0];
  EXPECT_EQ(state.bytes(), memory);
  EXPECT_EQ(floats(state), Floats({6, 6, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(session.statistics().programs, 2);
}

TEST(Compile, AStateThatIsGivenUpKeepsItsHandle) {
  Session session;
  const CompiledFunction update = updating_first_row();
  Array state = Array::from({1.0f, 1.0f, 1.0f, 1.0f}, {2, 2});
  const Node* handle = state.node().get();
  for (float value : {5.0f, 6.0f}) {
    std::vector<Array> arguments{std::move(state), Array::from({value, value}, {1, 2})};
    state = update(std::move(arguments))[0];
    EXPECT_EQ(state.node().get(), handle);
    EXPECT_FALSE(arguments[0].defined());
    EXPECT_EQ(floats(state), Floats({value, value, 1, 1}));
  }
  EXPECT_EQ(update.signatures(), 1);
}

TEST(Compile, AHandleThatOthersHoldIsNotReused) {
  Session session;
  const CompiledFunction update = updating_first_row();
  const Array held = Array::from({1.0f, 1.0f, 1.0f, 1.0f}, {2, 2});
  std::vector<Array> arguments{held, Array::from({5.0f, 5.0f}, {1, 2})};
  const Array state = update(std::move(arguments))[0];
  EXPECT_NE(state.node(), held.node());
  EXPECT_EQ(floats(state), Floats({5, 5, 1, 1}));
  EXPECT_EQ(floats(held), Floats({1, 1, 1, 1}));
}

TEST(Compile, ADonatedArgumentThatIsHeldKeepsItsValue) {
  Session session;
  const CompiledFunction update = updating_first_row();
  const std::vector<Array> arguments{full({2, 2}, 1) + 0.0, Array::from({5.0f, 5.0f}, {1, 2})};
  EXPECT_EQ(floats(update(arguments)[0]), Floats({5, 5, 1, 1}));
  EXPECT_EQ(floats(arguments[0]), Floats({1, 1, 1, 1}));
  EXPECT_EQ(floats(update(arguments)[0]), Floats({5, 5, 1, 1}));
}

TEST(Compile, DonatedIndicesAreArguments) {
  Session session;
  CompileOptions options;
  options.donate = {0, 3};
  const CompiledFunction function =
      compile([](const std::vector<Array>& x) { return std::vector<Array>{x[0] * 2.0}; }, options);
  EXPECT_EQ(error_of([&] { function({vector({1})}); }),
            "compile: donate names argument 3, expected 0 to 0, as the call has 1");
}

TEST(Compile, ArgumentsStayWhenTheCallThrows) {
  Session session;
  CompileOptions options;
  options.donate = {0};
  const CompiledFunction mismatch =
      compile([](const std::vector<Array>& x) { return std::vector<Array>{matmul(x[0], x[0])}; }, options);
  std::vector<Array> arguments{full({2, 3}, 1)};
  EXPECT_THROW(mismatch(std::move(arguments)), Error);
  EXPECT_EQ(arguments[0].shape(), Shape({2, 3}));
}

TEST(Compile, WithoutDonationTheArgumentStays) {
  Session session;
  const CompiledFunction update =
      compile([](const std::vector<Array>& x) { return std::vector<Array>{slice_update(x[0], x[1], 0, 0)}; });
  const Array before = full({2, 2}, 1) + 0.0;
  const Array after = update({before, Array::from({5.0f, 5.0f}, {1, 2})})[0];
  EXPECT_EQ(floats(after), Floats({5, 5, 1, 1}));
  EXPECT_EQ(floats(before), Floats({1, 1, 1, 1}));
}

TEST(Compile, ForeignMemoryIsNotWrittenTo) {
  Session session;
  const CompiledFunction update = updating_first_row();
  const Type type{DType::f32, {2, 2}};
  const Floats mapped = {1, 2, 3, 4};
  const Array view = Array::from(Buffer::view(mapped.data(), 16, nullptr), type);
  EXPECT_EQ(floats(update({view, Array::from({5.0f, 5.0f}, {1, 2})})[0]), Floats({5, 5, 3, 4}));
  EXPECT_EQ(mapped, Floats({1, 2, 3, 4}));

  const BufferRef kept = Buffer::allocate(16);
  std::memcpy(kept->data(), mapped.data(), 16);
  EXPECT_EQ(floats(update({Array::from(kept, type), Array::from({5.0f, 5.0f}, {1, 2})})[0]), Floats({5, 5, 3, 4}));
  EXPECT_EQ(kept->as<float>()[0], 1);
}

TEST(Compile, OneArrayAsTwoArgumentsIsNotWrittenTo) {
  Session session;
  CompileOptions options;
  options.donate = {0};
  const CompiledFunction update = compile(
      [](const std::vector<Array>& x) { return std::vector<Array>{slice_update(x[0], x[1], 0, 0), sum(x[2], {0, 1})}; },
      options);
  const Array state = full({2, 2}, 1) + 0.0;
  const std::vector<Array> results = update({state, Array::from({5.0f, 5.0f}, {1, 2}), state});
  EXPECT_EQ(floats(results[0]), Floats({5, 5, 1, 1}));
  EXPECT_EQ(results[1].item<float>(), 4.0f);
}

TEST(Compile, ReadersOnOtherStreamsSeeTheOldValue) {
  Session session;
  const CompiledFunction update = updating_first_row();
  for (int round = 0; round < 10; ++round) {
    Array state = full({2, 2}, 1) + 0.0;
    eval({state});
    const Array delay = slow(scalar(0));
    async_eval({delay}, Stream{1});
    const Array before = sum(state, {0, 1}) + index(index(delay, 0, 0), 0, 0);
    async_eval({before}, Stream{1});
    state = update(std::move(state), Array::from({5.0f, 5.0f}, {1, 2}))[0];
    EXPECT_EQ(sum(state, {0, 1}).item<float>(), 12.0f);
    EXPECT_EQ(before.item<float>(), 4.0f);
  }
}

TEST(Compile, ProgramMayGoBeforeItsResults) {
  Session session;
  Array y;
  {
    const CompiledFunction function =
        compile([](const std::vector<Array>& x) { return std::vector<Array>{slow(x[0])}; });
    y = function({scalar(2)})[0];
  }
  EXPECT_NEAR(y.data<float>()[0], 2, 1e-4);
}

TEST(Compile, ErrorReachesTheWaiter) {
  Session session;
  const CompiledFunction row =
      compile([](const std::vector<Array>& x) { return std::vector<Array>{take(x[0], x[1], 0)}; });
  const Array failing = row({vector({1, 2}), indices({2})})[0];
  EXPECT_THROW(wait(failing), ExecutionError);
  EXPECT_EQ(row({vector({1, 2}), indices({1})})[0].item<float>(), 2.0f);
}

TEST(Compile, FunctionServesOneSessionAfterTheOther) {
  const CompiledFunction function = compile([](const std::vector<Array>& x) { return std::vector<Array>{x[0] * 3.0}; });
  for (int round = 0; round < 5; ++round) {
    Session session(with_threads(1 + round % 2));  // likely at the address of the one before
    EXPECT_EQ(floats(function({vector({1, 2})})[0]), Floats({3, 6}));
    EXPECT_EQ(session.statistics().programs, 1);
  }
  EXPECT_EQ(function.signatures(), 1);
}

// Donation at eval

TEST(Donation, LastHandleIsUpdatedInPlace) {
  Session session;
  Array state = full({4, 2}, 1) + 0.0;
  eval({state});
  const std::byte* memory = state.bytes();
  state = slice_update(state, Array::from({7.0f, 8.0f}, {1, 2}), 3, 0);
  eval({state});
  EXPECT_EQ(state.bytes(), memory);
  EXPECT_EQ(floats(state), Floats({1, 1, 1, 1, 1, 1, 7, 8}));
}

TEST(Donation, AnotherHandleKeepsTheOldValue) {
  Session session;
  const Array before = full({2, 2}, 1) + 0.0;
  eval({before});
  const Array after = slice_update(before, Array::from({7.0f, 8.0f}, {1, 2}), 1, 0);
  eval({after});
  EXPECT_EQ(floats(before), Floats({1, 1, 1, 1}));
  EXPECT_EQ(floats(after), Floats({1, 1, 7, 8}));
}

TEST(Donation, AnUnevaluatedReaderKeepsTheOldValue) {
  Session session;
  Array state = full({2, 2}, 1) + 0.0;
  eval({state});
  const Array later = sum(state, {0, 1});
  state = slice_update(state, Array::from({7.0f, 8.0f}, {1, 2}), 1, 0);
  eval({state});
  EXPECT_EQ(floats(state), Floats({1, 1, 7, 8}));
  EXPECT_EQ(later.item<float>(), 4.0f);
}

TEST(Donation, AConstantIsNeverWrittenTo) {
  Session session;
  const BufferRef memory = weight(1, {2, 2}).node()->results()[0].buffer;
  Array state = slice_update(Array::constant(memory, {DType::f32, {2, 2}}), Array::from({7.0f, 8.0f}, {1, 2}), 1, 0);
  eval({state});
  EXPECT_EQ(floats(state), Floats({1, 1, 7, 8}));
  EXPECT_EQ(memory->as<float>()[3], 1);
}

}  // namespace
}  // namespace lazuli
