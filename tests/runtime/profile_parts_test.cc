// SPDX-License-Identifier: MIT
// Launches that fusion made of several kernels: what a program says of their parts, and how observed time divides over
// them.
#include <gtest/gtest.h>
#include <lazuli/runtime/profile/profile_verdict.h>
#include <lazuli/runtime/profile/trace.h>
#include <lazuli/tests/support/simulated_run.h>

#include <nlohmann/json.hpp>
#include <string>

namespace lazuli {
namespace {

using Json = nlohmann::json;
using Function = std::function<std::vector<Array>(const std::vector<Array>&)>;

SessionOptions threads(int count) {
  SessionOptions options;
  options.threads = count;
  return options;
}

std::vector<Array> linear_and_erf(const std::vector<Array>& in) {
  const Scope scope("layers", 3);
  return {erf(linear(in[0], test::constant_weight({128, 64}, "w")))};
}

// Few enough outputs that one thread runs all of it: the matmul and the erf are a chain within the chain.
std::vector<Array> norm_linear_and_erf(const std::vector<Array>& in) {
  return {
      erf(linear(rms_norm(in[0], test::constant_weight({64}, "scale"), 1e-6), test::constant_weight({16, 64}, "w")))};
}

struct Observed {
  Session session;
  CompiledFunction function;
  std::vector<Array> arguments;
  std::shared_ptr<CompiledGraph> compiled;

  Observed(int count, const Function& body, std::int64_t rows)
      : session(threads(count)),
        function(compile(body)),
        arguments{Array::from(std::vector<float>(static_cast<std::size_t>(rows * 64), 0.5f), {rows, 64})},
        compiled(std::static_pointer_cast<CompiledGraph>(function.executable(arguments))) {}

  Profile profile(const std::shared_ptr<RunRecorder>& recorder) {
    session.observe(compiled, recorder);
    wait(function(arguments)[0]);
    session.synchronize();
    session.observe(compiled, nullptr);
    return make_profile(compiled, recorder->record());
  }

  // Every reading of the clock is 1 us after the last, but for one that is 8 ms later. One thread.
  Profile slowed(int reading) {
    std::int64_t ticks = 0;
    return profile(std::make_shared<RunRecorder>([&ticks, reading](int) -> std::int64_t {
      ++ticks;
      return ticks * 1000 + (ticks >= reading ? 8'000'000 : 0);
    }));
  }
};

std::vector<std::string> ops_of(const std::vector<StepPart>& parts) {
  std::vector<std::string> ops;
  for (const StepPart& part : parts) ops.push_back(part.op);
  return ops;
}

void expect_parts_add_up(const ProfiledNode& node) {
  double us = 0, wall_us = 0, bytes = 0, weight_bytes = 0, operations = 0;
  for (const ProfiledPart& part : node.parts) {
    us += part.us;
    wall_us += part.wall_us;
    bytes += part.bytes;
    weight_bytes += part.weight_bytes;
    operations += part.operations;
  }
  EXPECT_NEAR(us, node.us, 1e-6 * node.us);
  EXPECT_NEAR(wall_us, node.wall_us, 1e-6 * node.wall_us);
  EXPECT_EQ(bytes, node.bytes);
  EXPECT_EQ(weight_bytes, node.weight_bytes);
  EXPECT_EQ(operations, node.operations);
}

TEST(ProfileParts, AStepSaysWhatItIsMadeOf) {
  const Observed model(1, linear_and_erf, 4);
  const std::span<const ProgramStep> steps = model.compiled->program->steps();
  ASSERT_EQ(steps.size(), 1u);
  const std::vector<StepPart>& parts = steps[0].parts;
  ASSERT_EQ(ops_of(parts), (std::vector<std::string>{"linear", "erf"}));
  EXPECT_EQ(parts[0].kind, StepKind::matmul);
  EXPECT_EQ(parts[1].kind, StepKind::other);
  EXPECT_EQ(parts[0].scope, "layers.3");
  EXPECT_EQ(parts[0].operations, 2 * 4 * 128 * 64);
  EXPECT_EQ(parts[0].weight_bytes, 128 * 64 * 4);
  EXPECT_EQ(parts[0].bytes, (128 * 64 + 4 * 64) * 4) << "the sums stay in a cache";
  EXPECT_EQ(parts[1].bytes, 4 * 128 * 4);
  EXPECT_EQ(steps[0].bytes, parts[0].bytes + parts[1].bytes);
  EXPECT_EQ(steps[0].operations, parts[0].operations + parts[1].operations);
  EXPECT_FALSE(parts[1].kernel.empty());
  EXPECT_FALSE(parts[1].isa.empty());
}

TEST(ProfileParts, ASingleKernelHasNone) {
  Session session(test::two_threads());
  const test::SmallModel model;
  for (const ProgramStep& step : model.compiled()->program->steps()) EXPECT_TRUE(step.parts.empty()) << step.kernel;
}

// The readings: begin of the run, begin of the launch, end of the matmul, end of the erf, end of the launch, end.
TEST(ProfileParts, TimeBelongsToThePartThatTookIt) {
  const struct {
    int reading;
    double linear_us, erf_us;
  } cases[] = {{3, 8001, 2}, {4, 1, 8002}, {5, 1, 8002}};
  for (const auto& [reading, linear_us, erf_us] : cases) {
    SCOPED_TRACE(reading);
    const Profile profile = Observed(1, linear_and_erf, 4).slowed(reading);
    ASSERT_EQ(profile.nodes.size(), 1u);
    const ProfiledNode& node = profile.nodes[0];
    ASSERT_EQ(node.parts.size(), 2u);
    EXPECT_NEAR(node.us, 8003, 1e-6);
    EXPECT_NEAR(node.parts[0].us, linear_us, 1e-6);
    EXPECT_NEAR(node.parts[1].us, erf_us, 1e-6);
    expect_parts_add_up(node);
    EXPECT_NEAR(profile.matmul_us(), linear_us, 1e-6);
    EXPECT_NEAR(profile.thread_us(StepKind::other), erf_us, 1e-6);
    const std::vector<LayerTime> layers = times_by_layer(profile);
    ASSERT_EQ(layers.size(), 1u);
    EXPECT_EQ(layers[0].layer, "layers.3");
    EXPECT_NEAR(layers[0].matmul_us, linear_us, 1e-6);
    EXPECT_NEAR(layers[0].other_us, erf_us, 1e-6);
  }
}

TEST(ProfileParts, AChainWithinAChainTellsItsOwn) {
  for (int slow = 0; slow < 3; ++slow) {
    SCOPED_TRACE(slow);
    Observed model(1, norm_linear_and_erf, 1);
    ASSERT_EQ(model.compiled->program->steps().size(), 1u);
    ASSERT_EQ(ops_of(model.compiled->program->steps()[0].parts),
              (std::vector<std::string>{"rms_norm", "linear", "erf"}));
    const Profile profile = model.slowed(3 + slow);
    const ProfiledNode& node = profile.nodes[0];
    ASSERT_EQ(node.parts.size(), 3u);
    for (int part = 0; part < 3; ++part)
      EXPECT_NEAR(node.parts[static_cast<std::size_t>(part)].us, (part == slow ? 8001 : 1) + (part == 2 ? 1 : 0), 1e-6)
          << part;
    expect_parts_add_up(node);
  }
}

TEST(ProfileParts, AddUpOnSeveralThreads) {
  for (int count : {1, 2, 3})
    for (std::int64_t rows : {1, 4, 300}) {
      const Profile profile = Observed(count, linear_and_erf, rows).profile(std::make_shared<RunRecorder>());
      for (const ProfiledNode& node : profile.nodes) {
        SCOPED_TRACE(node.op);
        EXPECT_EQ(node.parts.size(), 2u);
        expect_parts_add_up(node);
      }
    }
}

// Somebody else's record need not say how a launch's time divides: it then stands as one.
TEST(ProfileParts, WithoutTimesALaunchIsWhole) {
  const Observed model(2, linear_and_erf, 4);
  const Profile profile =
      make_profile(model.compiled, test::simulated_run(*model.compiled->program, 2, [](int, int) { return 1000; }));
  ASSERT_EQ(profile.nodes.size(), 1u);
  EXPECT_TRUE(profile.nodes[0].parts.empty());
  EXPECT_EQ(profile.matmul_us(), profile.nodes[0].wall_us);
  EXPECT_EQ(profile.thread_us(StepKind::other), 0);
}

TEST(ProfileParts, FusedWorkIsNoMatmulToTheVerdict) {
  const Profile profile = Observed(1, linear_and_erf, 4).slowed(4);
  const StepFigures figures = figures_of(profile);
  EXPECT_NEAR(figures.matmul_us, 1, 1e-6);
  EXPECT_NEAR(figures.fused_us, 8002, 1e-6);
  EXPECT_NEAR(figures.other_us, 8002, 1e-6);
  EXPECT_EQ(figures.other_launches, 0) << "a further fusion has nothing to take in";
  EXPECT_EQ(figures.operations, 2 * 4 * 128 * 64);
  const StepVerdict verdict = judge(figures);
  EXPECT_EQ(verdict.bound, StepBound::other_kernels);
  EXPECT_FALSE(verdict.fusion_pays);
}

TEST(ProfileParts, ReportsShowThem) {
  const Profile profile = Observed(1, linear_and_erf, 4).slowed(4);
  const std::string text = to_text(profile);
  EXPECT_NE(text.find("\n      linear 0.0 %, erf 100.0 %\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  erf "), std::string::npos) << "under the op";
  EXPECT_NE(to_html(profile).find("linear 0.0 %, erf 100.0 %"), std::string::npos);
  EXPECT_NE(chrome_trace(profile, "step").find("linear 0.0 %, erf 100.0 %"), std::string::npos);
  const Json json = Json::parse(to_json(profile));
  const Json& parts = json["launches"][0]["parts"];
  ASSERT_EQ(parts.size(), 2u);
  for (const char* key :
       {"op", "scope", "kernel", "isa", "kind", "us", "wall_us", "share", "bytes", "weight_bytes", "operations"})
    EXPECT_TRUE(parts[0].contains(key)) << key;
  EXPECT_EQ(parts[1]["op"], "erf");
  EXPECT_EQ(parts[1]["kind"], "other");
  EXPECT_NEAR(parts[0]["share"].get<double>() + parts[1]["share"].get<double>(), 1, 1e-9);
  EXPECT_NEAR(json["kind_us"]["matmul"].get<double>(), 1, 1e-6);
  EXPECT_NEAR(json["kind_us"]["other"].get<double>(), 8002, 1e-6);
}

}  // namespace
}  // namespace lazuli
