// SPDX-License-Identifier: MIT
// Every golden checkpoint against its reference (tests/data/README.md), with settings in which every pair of backend,
// fusion, chunk and AltUp form occurs. scripts/check-settings runs all combinations.
#include <gtest/gtest.h>
#include <lazuli/tests/support/golden_model.h>

#include <algorithm>
#include <set>

namespace lazuli {
namespace {

using namespace test;

TEST(Pairwise, EveryPairOccurs) {
  for (const std::vector<int>& sizes :
       {std::vector<int>{2, 3, 4, 2}, {2, 3, 4, 1}, {1}, {5}, {3, 3}, {2, 2, 2, 2, 2}, {4, 1, 3}}) {
    std::set<Pair> expected, covered;
    for (const Row& row : full_product(sizes)) expected.merge(pairs_of(row));
    std::size_t pairs = 0;
    for (std::size_t a = 0; a < sizes.size(); ++a)
      for (std::size_t b = a + 1; b < sizes.size(); ++b) pairs += static_cast<std::size_t>(sizes[a] * sizes[b]);
    EXPECT_EQ(expected.size(), pairs);
    for (const Row& row : pairwise(sizes)) covered.merge(pairs_of(row));
    EXPECT_EQ(covered, expected);
    EXPECT_EQ(pairwise(sizes), pairwise(sizes));
  }
}

TEST(Pairwise, GoldenSettingsAreFew) {
  for (const GoldenFolder& folder : golden_folders) {
    const std::vector<int> factors = golden_factors(folder);
    EXPECT_EQ(full_product(factors).size(), folder.has_altup ? 48u : 24u);
    EXPECT_LE(pairwise(factors).size(), 13u) << folder.name;  // 12, fusions times chunks, is the least possible
  }
}

TEST(GoldenFolders, AreAllListed) {
  std::set<std::string> listed, found;
  for (const GoldenFolder& folder : golden_folders) listed.insert(folder.name);
  for (const auto& entry : std::filesystem::directory_iterator(golden_path(""))) found.insert(entry.path().filename());
  EXPECT_EQ(listed, found);
}

class Golden : public testing::TestWithParam<GoldenFolder> {};

TEST_P(Golden, MatchesTheReference) {
  const GoldenFolder& folder = GetParam();
  GoldenRun run(folder);
  for (const GoldenSetting& setting : golden_settings(pairwise(golden_factors(folder)))) {
    const GoldenOutcome outcome = run.run(setting);
    EXPECT_TRUE(run.passes(setting, outcome))
        << to_string(setting, folder.has_altup) << ": largest difference " << outcome.worst << ", greedy "
        << (outcome.greedy_equal ? "equal" : "differs");
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, Golden, testing::ValuesIn(golden_folders), [](const auto& info) {
  std::string name = info.param.name;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace lazuli
