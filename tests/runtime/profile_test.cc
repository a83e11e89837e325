// SPDX-License-Identifier: MIT
// Profiles: observers, the account of a run's time, what is captured, and the forms it is printed in.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/operations.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/load.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/tests/support/simulated_run.h>
#include <lazuli/tests/support/test_model.h>

#include <array>
#include <atomic>
#include <nlohmann/json.hpp>
#include <sstream>

namespace lazuli {
namespace {

using Json = nlohmann::json;
using test::simulated_run;
using test::SmallModel;

class ProfileTest : public testing::Test {
 protected:
  ProfileTest() : session_(test::two_threads()), compiled_(model_.compiled()) {}

  const Program& program() const { return *compiled_->program; }
  int steps() const { return static_cast<int>(program().steps().size()); }
  const ProgramStep& step(int index) const { return program().steps()[static_cast<std::size_t>(index)]; }
  // A step that is split (or not) and comes behind a barrier where asked for.
  int find_step(bool split) const {
    for (int index = 0; index < steps(); ++index)
      if (step(index).split == split && step(index).barrier) return index;
    return -1;
  }
  Profile simulated(const test::StepDuration& duration) const {
    return make_profile(compiled_, simulated_run(program(), 2, duration));
  }

  Session session_;
  SmallModel model_;
  std::shared_ptr<CompiledGraph> compiled_;
};

double us_of_thread(const Profile& profile, int thread) {
  double total = 0;
  for (const ProfiledSpan& span : profile.spans)
    if (span.thread == thread) total += span.us;
  return total;
}

// Counts what it is told, on each worker.
class CountingObserver final : public RunObserver {
 public:
  explicit CountingObserver(std::size_t steps) : seen_(2, std::vector<int>(steps)), last_(2) {}

  void begin(int workers) override {
    ++runs_;
    workers_ = workers;
  }
  void end() noexcept override { ++ends_; }
  void on_span(int worker, const RunSpan& span) override {
    const auto w = static_cast<std::size_t>(worker);
    EXPECT_LE(span.begin_ns, span.end_ns);
    if (last_[w] != 0) {
      EXPECT_EQ(span.begin_ns, last_[w]) << "a gap before step " << span.step;
    }
    last_[w] = span.end_ns;
    if (span.step != RunSpan::waiting) ++seen_[w][static_cast<std::size_t>(span.step)];
  }

  int runs_ = 0, ends_ = 0, workers_ = 0;
  std::vector<std::vector<int>> seen_;

 private:
  std::vector<std::int64_t> last_;
};

TEST_F(ProfileTest, TheProgramHasStepsOfBothKinds) {
  EXPECT_GE(find_step(/*split=*/true), 0);
  EXPECT_GE(find_step(/*split=*/false), 0);
}

TEST_F(ProfileTest, AnObserverSeesEveryStepOnceOnEachWorkerThatTakesPart) {
  const std::vector<float> unobserved = model_.run();
  const auto observer = std::make_shared<CountingObserver>(program().steps().size());
  EXPECT_EQ(session_.observe(compiled_, observer), nullptr);
  EXPECT_EQ(model_.run(), unobserved);
  EXPECT_EQ(session_.observe(compiled_, nullptr), observer);
  EXPECT_EQ(model_.run(), unobserved);
  session_.synchronize();
  EXPECT_EQ(observer->runs_, 1);
  EXPECT_EQ(observer->ends_, 1);
  EXPECT_EQ(observer->workers_, 2);
  for (int index = 0; index < steps(); ++index) {
    EXPECT_EQ(observer->seen_[0][static_cast<std::size_t>(index)], 1) << step(index).kernel;
    EXPECT_EQ(observer->seen_[1][static_cast<std::size_t>(index)], step(index).split ? 1 : 0) << step(index).kernel;
  }
}

// A run that fails ends as well, and the observer is asked again at the next.
TEST_F(ProfileTest, AnObserverIsToldTheEndOfARunThatFails) {
  const CompiledFunction function =
      compile([](const std::vector<Array>& in) { return std::vector<Array>{take(in[0], in[1], 0)}; });
  const Array table = Array::from(std::vector<float>{1, 2, 3, 4}, {4});
  const std::vector<Array> bad{table, Array::from(std::vector<std::int32_t>{9}, {1})};
  const auto observer = std::make_shared<CountingObserver>(8);
  session_.observe(function.executable(bad), observer);
  EXPECT_THROW(wait(function(bad)[0]), ExecutionError);
  session_.synchronize();
  EXPECT_EQ(observer->runs_, 1);
  EXPECT_EQ(observer->ends_, 1);
}

TEST_F(ProfileTest, SpansFillTheTimeOfEveryThread) {
  const Profile profile = simulated([](int step, int worker) { return 1000 * (step + 2) + 700 * worker; });
  EXPECT_EQ(profile.threads, 2);
  for (const int thread : {0, 1}) EXPECT_NEAR(us_of_thread(profile, thread), profile.wall_us, 1e-6);
  EXPECT_NEAR(profile.thread_us(ThreadState::launch), 0.1, 1e-9);  // thread 1 starts 100 ns late
  EXPECT_NEAR(profile.pipeline.run_us + profile.pipeline.wait_us, profile.wall_us, 1e-6);
}

// While thread 0 runs a step alone the other has no work; what is left of its wait, it waits for the barrier.
TEST_F(ProfileTest, IdleTimeIsToldFromBarriers) {
  const int alone = find_step(/*split=*/false);
  const Profile profile = simulated([&](int step, int) { return step == alone ? 40'000 : 1000; });
  EXPECT_GE(profile.thread_us(ThreadState::idle), 40.0);
  EXPECT_LT(profile.thread_us(ThreadState::barrier), 2.0);

  const int shared = find_step(/*split=*/true);
  const Profile uneven = simulated([&](int step, int worker) { return step == shared && worker == 0 ? 40'000 : 1000; });
  EXPECT_GE(uneven.thread_us(ThreadState::barrier) + uneven.thread_us(ThreadState::idle), 39.0);
  EXPECT_LT(uneven.thread_us(ThreadState::computes), 60.0);
}

TEST_F(ProfileTest, BytesAreThoseOfTheWeights) {
  const Profile profile = simulated([](int, int) { return 1000; });
  EXPECT_EQ(profile.weight_bytes(), model_.weight_bytes);
  double operations = 0;
  for (const ProfiledNode& node : profile.nodes)
    if (node.kind == StepKind::matmul) operations += node.operations;
  EXPECT_EQ(operations, 2 * 2 * 128 * 64);
}

// The clock of worker 0 jumps within one step: that step is the hottest.
TEST_F(ProfileTest, ASlowedKernelIsTheHottest) {
  for (const bool split : {true, false}) {
    const int slow = find_step(split);
    int slow_call = 2;  // begin() and the first span's begin; then one for each span
    for (int index = 0; index <= slow; ++index) slow_call += step(index).barrier ? 2 : 1;
    std::array<std::int64_t, 2> ticks{};
    int calls = 0;
    std::int64_t jump = 0;
    const auto recorder = std::make_shared<RunRecorder>([&](int worker) -> std::int64_t {
      if (worker == 0 && ++calls == slow_call) jump = 1'000'000;
      return ++ticks[static_cast<std::size_t>(worker)] * 1000 + (worker == 0 ? jump : 0);
    });
    session_.observe(compiled_, recorder);
    model_.run();
    session_.synchronize();
    session_.observe(compiled_, nullptr);
    const Profile profile = make_profile(compiled_, recorder->record());
    const auto hottest = std::max_element(profile.nodes.begin(), profile.nodes.end(),
                                          [](const ProfiledNode& a, const ProfiledNode& b) { return a.us < b.us; });
    EXPECT_EQ(hottest->step, slow);
    EXPECT_NEAR(hottest->wall_us, 1001, 1e-6);
    EXPECT_EQ(times_by_op(profile)[0].op, hottest->op);
  }
}

TEST_F(ProfileTest, OneWarmStepIsCaptured) {
  int calls = 0;
  const auto observer = std::make_shared<CountingObserver>(program().steps().size());
  session_.observe(compiled_, observer);
  ProfileOptions options;
  options.measure_limits = false;
  options.warmup = 2;
  const Profile captured = profile(
      session_,
      [&] {
        ++calls;
        model_.run();
      },
      options);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(captured.nodes.size(), program().steps().size());
  EXPECT_FALSE(captured.overhead);
  for (const int thread : {0, 1})
    EXPECT_NEAR(us_of_thread(captured, thread), captured.wall_us, 0.03 * captured.wall_us);
  EXPECT_EQ(observer->runs_, 0) << "the program's own observer stood back";
  session_.synchronize();
  EXPECT_EQ(session_.observe(compiled_, nullptr), observer);
}

// Every reading of the clock is 1 us after the last: the parts of the pipeline are what lies between, and nothing is
// lost.
TEST_F(ProfileTest, ThePipelineAddsUpToTheStep) {
  std::atomic<std::int64_t> ticks{0};
  std::int64_t begin = 0, end = 0;
  ProfileOptions options;
  options.measure_limits = false;
  options.clock = [&](int) { return ++ticks * 1000; };
  const Profile captured = profile(
      session_,
      [&] {
        begin = ticks;
        ticks += 20;  // arguments are made
        const Array result = model_.function(model_.arguments)[0];
        wait(result);
        ticks += 50;  // a token is chosen
        end = ticks;
      },
      options);
  EXPECT_GE(captured.pipeline.build_us, 20);
  EXPECT_GE(captured.pipeline.sample_us, 50);
  EXPECT_EQ(captured.pipeline.lookup_us, 1);
  EXPECT_NEAR(captured.pipeline.total_us(), static_cast<double>(end - begin + 1), 1.5);
}

TEST_F(ProfileTest, ObservedAndUnobservedStepsTakeTurns) {
  int calls = 0;
  ProfileOptions options;
  options.measure_limits = false;
  options.warmup = 1;
  options.overhead_seconds = 1e-9;
  std::atomic<std::int64_t> ticks{0};
  options.clock = [&](int) { return ++ticks * 1000; };  // reading the clock is all that takes time: observing costs
  const Profile captured = profile(
      session_,
      [&] {
        ++calls;
        ticks += 1000;
        model_.run();
      },
      options);
  ASSERT_TRUE(captured.overhead);
  EXPECT_EQ(captured.overhead->pairs, 6);
  EXPECT_EQ(calls, 1 + 1 + 2 * 6);
  EXPECT_GT(captured.overhead->share, 0);
  EXPECT_LT(captured.overhead->share, 0.05);
  EXPECT_LE(captured.overhead->low, captured.overhead->share);
  EXPECT_GE(captured.overhead->high, captured.overhead->share);
}

TEST_F(ProfileTest, AStepIsOneProgram) {
  const auto error_of = [&](const std::function<void()>& step) -> std::string {
    try {
      profile(session_, step);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(error_of([] {}).find("ran 0 programs, expected one"), std::string::npos);
  EXPECT_NE(error_of([&] { model_.run(), model_.run(); }).find("ran 2 programs, expected one"), std::string::npos);
  // A graph that is made anew each time is one program as well.
  const Profile lazy = profile(session_, [&] { eval({model_.arguments[0] * 2.0f + 1.0f}); });
  EXPECT_GT(lazy.pipeline.build_us, 0);
}

TEST_F(ProfileTest, NodesKnowTheirKernelsAndLayers) {
  const Profile profile = simulated([](int, int) { return 1000; });
  for (const ProfiledNode& node : profile.nodes) {
    EXPECT_FALSE(node.kernel.empty());
    EXPECT_FALSE(node.isa.empty()) << node.kernel;
  }
  const std::vector<LayerTime> layers = times_by_layer(profile);
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].layer, "layers.3");
  EXPECT_GT(layers[0].matmul_us, 0);
  double us = 0;
  for (const ProfiledNode& node : profile.nodes) us += node.us;
  EXPECT_NEAR(layers[0].us(), us, 1e-9);
  for (const OpCount& count : op_histogram(*profile.compiled))
    if (count.op == "linear") {
      EXPECT_EQ(count.built, 2);
    }
}

TEST_F(ProfileTest, TheNearerLimitCounts) {
  Profile profile = simulated([](int, int) { return 10'000; });
  profile.limits = HostLimits{1.0, 100.0, std::nullopt, std::nullopt};
  ProfiledNode& node = profile.nodes[0];
  node.bytes = 5000;  // 5 us at 1 GB/s
  node.operations = 0;
  EXPECT_NEAR(profile.limit_share(node), 0.5, 1e-9);
  node.operations = 9e5;  // 9 us at 100 GFLOP/s
  EXPECT_NEAR(profile.limit_share(node), 0.9, 1e-9);
  EXPECT_NEAR(profile.floor_us(), static_cast<double>(model_.weight_bytes) * 1e-3, 1e-9);
}

Profile with_everything(Profile profile) {
  profile.limits = HostLimits{20.0, 300.0, std::nullopt, 800.0};
  profile.overhead = ProfileOverhead{0.004, -0.001, 0.009, 40};
  profile.labels = {{"model", "a <model> & its \"name\""}};
  profile.pipeline.build_us = 3;
  return profile;
}

TEST_F(ProfileTest, TextFitsTheScreen) {
  const std::string text = to_text(with_everything(simulated([](int step, int) { return 100'000 * (step + 1); })));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 120u) << line;
  for (const char* part :
       {"verdict", "fusion", "floor", "pipeline", "thread", "linear", "layers.3.mlp", "built", "costs 0.40 %"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
}

TEST_F(ProfileTest, JsonKeepsItsKeysAndAddsUp) {
  const Profile profile = with_everything(simulated([](int step, int) { return 1000 * (step + 1); }));
  const Json json = Json::parse(to_json(profile));
  for (const char* key :
       {"phase", "wall_us", "threads", "nodes", "pipeline", "floor_us", "verdict", "overhead", "limits"})
    EXPECT_TRUE(json.contains(key)) << key;
  for (const char* key : {"build_us", "lookup_us", "run_us", "sample_us", "wait_us"})
    EXPECT_TRUE(json["pipeline"].contains(key)) << key;
  double us = 0, bytes = 0;
  for (const Json& node : json["nodes"]) {
    for (const char* key : {"id", "op", "scope", "kernel", "thread", "us", "bytes"})
      EXPECT_TRUE(node.contains(key)) << key;
    us += node["us"].get<double>();
    bytes += node["bytes"].get<double>();
  }
  EXPECT_NEAR(us, json["wall_us"].get<double>() * json["threads"].get<int>(), 1e-6);
  double launched = 0;
  for (const ProfiledNode& node : profile.nodes) launched += node.bytes;
  EXPECT_NEAR(bytes, launched, 1e-6);
}

TEST_F(ProfileTest, ThePageNeedsNothingElse) {
  const std::string page = to_html(with_everything(simulated([](int step, int) { return 1000 * (step + 1); })));
  for (const char* outside : {"http", "src=", "href=", "@import", "url("})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  EXPECT_NE(page.find("a &lt;model&gt; &amp; its &quot;name&quot;"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  const auto count = [&](const std::string& part) {
    int found = 0;
    for (std::size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + 1)) ++found;
    return found;
  };
  for (const char* tag : {"svg", "table", "div", "p", "tr", "text", "title", "h2"})
    EXPECT_EQ(count(fmt::format("<{} ", tag)) + count(fmt::format("<{}>", tag)), count(fmt::format("</{}>", tag)))
        << tag;
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

TEST(Operations, CountMultiplicationsAndAdditions) {
  const Array x = placeholder({DType::f32, {3, 8}}), w = placeholder({DType::f32, {5, 8}});
  const auto count = [](const Array& array) {
    const Graph graph = graph_of({array});
    return count_operations(graph, graph.node(graph.outputs[0]));
  };
  EXPECT_EQ(count(linear(x, w)), 2 * 3 * 5 * 8);
  EXPECT_EQ(count(x + x), 24);
  EXPECT_EQ(count(sum(x, {1})), 24);
  EXPECT_EQ(count(gelu_tanh(x)), 9 * 24);
  EXPECT_EQ(count(reshape(x, {24})), 0);
}

// Of a whole model: every weight is read once a token, and of caches as much as is filled.
TEST(ProfileOfAModel, ReadsTheBytesOfAToken) {
  Session session(test::two_threads());
  const auto model = load_model(test::test_data_path("goldens/gemma4-e-gguf-q4_0/model.gguf"));
  Runner runner(*model, {});
  const std::vector<std::int32_t> prompt{2, 3, 4, 5};
  wait(runner.prefill(prompt));
  const Array token = Array::from(std::vector<std::int32_t>{2}, {1});
  const Profile captured = profile(session, [&] {
    runner.truncate(4);
    runner.decode_greedy(token).item<std::int32_t>();
  });
  EXPECT_EQ(captured.scheduled().phase, Phase::decode);
  const auto expected = static_cast<double>(model->info().bytes_per_token);
  EXPECT_NEAR(captured.weight_bytes(), expected, 0.03 * expected);
  // Of at least 256 positions 5 are filled.
  double spared = 0;
  for (const ProfiledNode& node : captured.nodes) {
    const ProgramStep& step = captured.compiled->program->steps()[static_cast<std::size_t>(node.step)];
    if (node.kind == StepKind::attention) spared += static_cast<double>(step.bytes) - node.bytes;
    EXPECT_GT(node.bytes, 0) << node.kernel;
    EXPECT_GE(node.operations, 0) << node.kernel;
    double part_bytes = 0, part_operations = 0, part_us = 0;
    for (const ProfiledPart& part : node.parts) {
      part_bytes += part.bytes;
      part_operations += part.operations;
      part_us += part.us;
    }
    if (node.parts.empty()) continue;
    EXPECT_EQ(part_bytes, node.bytes) << node.kernel;
    EXPECT_EQ(part_operations, node.operations) << node.kernel;
    EXPECT_NEAR(part_us, node.us, 1e-6 * node.us) << node.kernel;
  }
  EXPECT_GT(spared, 0.9 * static_cast<double>(runner.cache_bytes()));
}

}  // namespace
}  // namespace lazuli
