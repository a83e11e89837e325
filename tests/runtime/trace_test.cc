// SPDX-License-Identifier: MIT
// The Chrome trace of a step: slices, waits, scopes, arrows and the memory counter, with times made up by hand.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/runtime/profile/trace.h>
#include <lazuli/tests/support/paths.h>
#include <lazuli/tests/support/simulated_run.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace lazuli {
namespace {

using Json = nlohmann::json;

std::vector<Json> events_of(const Json& trace, const std::string& phase, const std::string& category = "") {
  std::vector<Json> found;
  for (const Json& event : trace["traceEvents"])
    if (event["ph"] == phase && (category.empty() || event["cat"] == category)) found.push_back(event);
  return found;
}

class TraceTest : public testing::Test {
 protected:
  TraceTest()
      : session_(test::two_threads()),
        profile_(make_profile(model_.compiled(),
                              test::simulated_run(*model_.compiled()->program, 2, [](int step, int worker) {
                                return 10'000 + 1000 * step + 500 * worker;
                              }))) {}

  Json trace() const { return Json::parse(chrome_trace(profile_, "test")); }

  Session session_;
  test::SmallModel model_;
  Profile profile_;
};

TEST_F(TraceTest, EveryStepIsASliceOfItsThread) {
  const Json trace = this->trace();
  const std::vector<Json> steps = events_of(trace, "X", "step"), waits = events_of(trace, "X", "wait");
  EXPECT_EQ(steps.size() + waits.size(), profile_.spans.size());
  EXPECT_GE(waits.size(), 2u);
  for (const Json& slice : steps) {
    EXPECT_GE(slice["dur"], 0.0);
    EXPECT_LT(slice["tid"], 2);
    for (const char* key : {"node", "scope", "kernel", "type", "bytes", "operations"})
      EXPECT_TRUE(slice["args"].contains(key)) << key;
    EXPECT_EQ(slice["args"]["scope"], "layers.3.mlp");
  }
  EXPECT_EQ(events_of(trace, "C").size(), profile_.nodes.size());
  EXPECT_EQ(events_of(trace, "M").size(), 4u);  // the process, two threads, the scopes
}

// Slices of one track lie beside or inside each other.
TEST_F(TraceTest, ScopesNest) {
  const std::vector<Json> scopes = events_of(trace(), "X", "scope");
  ASSERT_EQ(scopes.size(), 3u);  // innermost first
  const char* names[] = {"mlp", "3", "layers"};
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    EXPECT_EQ(scopes[i]["name"], names[i]);
    EXPECT_EQ(scopes[i]["tid"], 2);
    EXPECT_LE(scopes[i]["ts"], scopes[i == 0 ? 0 : i - 1]["ts"]);
  }
}

// What reads a value begins no earlier than its arrow, and every arrow has both ends.
TEST_F(TraceTest, ArrowsLeadFromProducersToReaders) {
  for (const char* kind : {"value", "barrier"}) {
    const Json trace = this->trace();
    const std::vector<Json> begins = events_of(trace, "s", kind), ends = events_of(trace, "f", kind);
    ASSERT_GE(begins.size(), 1u) << kind;
    ASSERT_EQ(begins.size(), ends.size());
    for (std::size_t i = 0; i < begins.size(); ++i) {
      EXPECT_EQ(begins[i]["id"], ends[i]["id"]);
      EXPECT_LE(begins[i]["ts"], ends[i]["ts"]);
      EXPECT_TRUE(kind == std::string("value") || begins[i]["tid"] != ends[i]["tid"]);
    }
  }
}

// The parser of another project reads it as well.
TEST_F(TraceTest, AForeignParserReadsIt) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("lazuli_trace_{}.json", getpid());
  std::ofstream(file) << chrome_trace(profile_, "quotes \" and \\ and \n");
  const std::string command = fmt::format("'{}' -D TRACE='{}' -P '{}/trace_test.cmake'", test::cmake_program,
                                          file.string(), test::build_folder);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace lazuli
