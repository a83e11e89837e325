// SPDX-License-Identifier: MIT
// Instruction-set levels: detection, LAZULI_ISA, and the reasons given.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/tests/support/environment_variable.h>

#include <fstream>
#include <sstream>
#include <string>

namespace lazuli {
namespace {

bool kernel_reports(const std::string& flag) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == flag) return true;
    }
    return false;
  }
  return false;
}

TEST(Isa, NamesRoundTrip) {
  for (const IsaLevel& level : isa_levels()) EXPECT_EQ(parse_isa(to_string(level.isa)), level.isa);
  EXPECT_FALSE(parse_isa("avx1024"));
}

TEST(Isa, LevelsAreOrderedAndExplainThemselves) {
  const std::vector<IsaLevel>& levels = isa_levels();
  ASSERT_EQ(levels.size(), 4u);
  EXPECT_TRUE(levels[0].usable);
  for (std::size_t index = 0; index < levels.size(); ++index) {
    EXPECT_EQ(static_cast<std::size_t>(levels[index].isa), index);
    EXPECT_EQ(levels[index].usable, levels[index].reason.empty());
    EXPECT_EQ(levels[index].usable, supported(levels[index].isa));
    if (index > 0 && levels[index].usable) {
      EXPECT_TRUE(levels[index - 1].usable);
    }
  }
}

TEST(Isa, AgreesWithTheOperatingSystem) {
  EXPECT_EQ(supported(Isa::avx2), kernel_reports("avx2") && kernel_reports("fma") && kernel_reports("f16c"));
  EXPECT_EQ(supported(Isa::avx512), kernel_reports("avx512bw") && kernel_reports("avx512vl") &&
                                        kernel_reports("avx512dq") && kernel_reports("avx512_vnni"));
  if (!kernel_reports("amx_int8")) {
    EXPECT_FALSE(supported(Isa::amx));
  }
}

TEST(Isa, ChoosesTheBestUsableLevel) {
  const Isa best = choose_isa(std::nullopt);
  EXPECT_EQ(choose_isa(""), best);
  for (const IsaLevel& level : isa_levels()) {
    if (level.usable) {
      EXPECT_LE(level.isa, best);
      EXPECT_EQ(choose_isa(to_string(level.isa)), level.isa);
    } else {
      EXPECT_THROW(choose_isa(to_string(level.isa)), Error);
    }
  }
}

TEST(Isa, RejectsUnknownNames) {
  try {
    choose_isa("sse9");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "LAZULI_ISA: unknown instruction set 'sse9'; expected scalar, avx2, avx512 or amx");
  }
}

TEST(Isa, ReadsTheEnvironment) {
  const test::EnvironmentVariable isa("LAZULI_ISA", "scalar");
  EXPECT_EQ(selected_isa(), Isa::scalar);
}

TEST(Isa, CpuHasAName) { EXPECT_FALSE(cpu_name().empty()); }

}  // namespace
}  // namespace lazuli
