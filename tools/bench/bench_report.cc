// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/tools/bench/bench_report.h>

#include <algorithm>

namespace lazuli::tool {

std::string host_text(const BenchReport& report) {
  const std::string host = report.cpu + ", " + report.isa;
  const bool alike = std::all_of(report.runs.begin(), report.runs.end(),
                                 [&](const BenchRun& run) { return run.threads == report.threads; });
  return alike ? fmt::format("{}, {} threads", host, report.threads) : host;
}

std::vector<BenchRatio> ratios(const BenchReport& report) {
  std::vector<BenchRatio> found;
  for (const BenchPair& pair : report.pairs) {
    const BenchRun &after = report.runs[pair.after], &before = report.runs[pair.before];
    found.push_back({&after, &before, paired_ratio(after.rates, before.rates)});
  }
  return found;
}

std::vector<BenchBits> compare_bits(const BenchReport& report) {
  std::vector<BenchBits> groups;
  for (const BenchRun& run : report.runs) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const BenchBits& bits) {
      return bits.part == run.part && bits.first->tokens == run.tokens && bits.first->depth == run.depth;
    });
    if (group == groups.end()) {
      groups.push_back({run.part, &run, 1, {}});
      continue;
    }
    ++group->compared;
    if (run.checksum != group->first->checksum) group->differing.push_back(&run);
  }
  std::erase_if(groups, [](const BenchBits& bits) { return bits.compared < 2; });
  return groups;
}

}  // namespace lazuli::tool
