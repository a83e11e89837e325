// SPDX-License-Identifier: MIT
// The results of `lazuli bench`, apart from how they are measured and printed.
#pragma once

#include <lazuli/runtime/profile/host_limits.h>
#include <lazuli/runtime/statistics.h>
#include <lazuli/tools/bench/bench_plan.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lazuli::tool {

struct BenchRun {
  BenchPart part = BenchPart::prompt;
  std::string variant;
  std::vector<BenchLabel> labels;
  std::int64_t tokens = 0;  // of the prompt, or generated
  std::int64_t depth = 0;   // tokens of context before them
  int threads = 0;
  std::vector<double> rates;   // tokens a second of each repetition
  std::uint64_t checksum = 0;  // of the logits of the prompt's last row, or of the generated ids
};

struct BenchReport {
  std::string cpu, isa, model;
  int threads = 0;
  BenchSizes sizes;
  int repetitions = 0;
  HostLimits limits;
  // Of the first run of each part, against the matmul peak and the memory's read rate; none where there is no such
  // run or limit.
  std::optional<double> prompt_peak_share, decode_floor_share;
  std::vector<BenchRun> runs;
  std::vector<BenchPair> pairs;  // of runs
};

// "Some CPU, amx, 2 threads", without threads where runs differ in their number.
std::string host_text(const BenchReport& report);

// How much faster one run is than another: the median of the repetitions' ratios with its 95 % confidence interval.
struct BenchRatio {
  const BenchRun* after;
  const BenchRun* before;
  Ratio ratio;
};
// Of each pair. The report outlives it.
std::vector<BenchRatio> ratios(const BenchReport& report);

// Runs of one part and of the same tokens whose results differ from those of the first of them.
struct BenchBits {
  BenchPart part = BenchPart::prompt;
  const BenchRun* first = nullptr;
  std::size_t compared = 0;
  std::vector<const BenchRun*> differing;
};
// Of each group of at least two runs that ought to be alike. The report outlives it.
std::vector<BenchBits> compare_bits(const BenchReport& report);

}  // namespace lazuli::tool
