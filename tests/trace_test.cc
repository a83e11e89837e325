// The Chrome trace of a run: slices, waits, arrows and the memory counter, with times made up by hand.
#include <gtest/gtest.h>
#include <lazuli/backends/session.h>
#include <lazuli/backends/trace.h>
#include <lazuli/graph/ops.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

namespace lazuli {
namespace {

using Json = nlohmann::json;

// A program of several launches that read what those before them wrote.
std::shared_ptr<CompiledGraph> several_steps(Session& session) {
  const Scope scope("layers", 3);
  const CompiledFunction function = compile([](const std::vector<Array>& in) {
    return std::vector<Array>{sum(in[0], {0}, true) + rms_norm(in[0], in[1], 1e-6)};
  });
  const std::vector<Array> arguments{Array::from(std::vector<float>(32, 1.0f), {2, 16}),
                                     Array::from(std::vector<float>(16, 1.0f), {16})};
  auto compiled = std::static_pointer_cast<CompiledGraph>(function.executable(arguments));
  EXPECT_GE(compiled->program->steps().size(), 2u);
  session.synchronize();
  return compiled;
}

// Worker 0 runs every step for 10 us; worker 1 waits, then shares the last.
std::unique_ptr<Profile> made_up_run(const Program& program) {
  auto made_up = std::make_unique<Profile>();
  Profile& profile = *made_up;
  const int steps = static_cast<int>(program.steps().size());
  for (int step = 0; step < steps; ++step) profile.append({{step, 0, step * 10'000, step * 10'000 + 9'500}});
  profile.append(
      {{Profile::waiting, 1, 0, (steps - 1) * 10'000}, {steps - 1, 1, (steps - 1) * 10'000, steps * 10'000}});
  return made_up;
}

std::vector<Json> events_of(const Json& trace, const std::string& phase) {
  std::vector<Json> found;
  for (const Json& event : trace["traceEvents"])
    if (event["ph"] == phase) found.push_back(event);
  return found;
}

class TraceTest : public testing::Test {
 protected:
  TraceTest() : session_(unfused()), program_(several_steps(session_)) {}
  static SessionOptions unfused() {
    SessionOptions options;
    options.fusion = "none";
    return options;
  }
  const Program& program() const { return *program_->program; }

  Session session_;
  std::shared_ptr<CompiledGraph> program_;
};

TEST_F(TraceTest, EveryStepIsASliceOfItsWorker) {
  const std::unique_ptr<Profile> profile = made_up_run(program());
  const Json trace = Json::parse(chrome_trace(program(), *profile, "test"));
  const std::vector<Json> slices = events_of(trace, "X");
  ASSERT_EQ(slices.size(), profile->entries.size());
  int waits = 0;
  for (const Json& slice : slices) {
    EXPECT_GE(slice["dur"], 0.0);
    if (slice["name"] == "wait") {
      ++waits;
      EXPECT_EQ(slice["tid"], 1);
      continue;
    }
    for (const char* key : {"node", "scope", "kernel", "type", "bytes"})
      EXPECT_TRUE(slice["args"].contains(key)) << key;
    EXPECT_EQ(slice["args"]["scope"], "layers.3");
  }
  EXPECT_EQ(waits, 1);
  EXPECT_EQ(events_of(trace, "C").size(), program().steps().size());
  EXPECT_EQ(events_of(trace, "M").size(), 3u);  // the process and two threads
}

// What reads a value begins no earlier than its arrow, and every arrow has both ends.
TEST_F(TraceTest, ArrowsLeadFromProducersToReaders) {
  const Json trace = Json::parse(chrome_trace(program(), *made_up_run(program()), "test"));
  const std::vector<Json> begins = events_of(trace, "s"), ends = events_of(trace, "f");
  ASSERT_GE(begins.size(), 1u);
  ASSERT_EQ(begins.size(), ends.size());
  for (std::size_t i = 0; i < begins.size(); ++i) {
    EXPECT_EQ(begins[i]["id"], ends[i]["id"]);
    EXPECT_LE(begins[i]["ts"], ends[i]["ts"]);
  }
}

// The parser of another project reads it as well.
TEST_F(TraceTest, AForeignParserReadsIt) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("lazuli_trace_{}.json", getpid());
  std::ofstream(file) << chrome_trace(program(), *made_up_run(program()), "quotes \" and \\ and \n");
  const std::string command =
      fmt::format("'{}' -D TRACE='{}' -P '{}/trace_test.cmake'", LAZULI_CMAKE, file.string(), LAZULI_TEST_BUILD);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace lazuli
