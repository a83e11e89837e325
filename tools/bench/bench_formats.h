// SPDX-License-Identifier: MIT
// The results of `lazuli bench` as text: pure functions of a report.
#pragma once

#include <lazuli/tools/bench/bench_report.h>
#include <lazuli/tools/support/output.h>

#include <span>
#include <string>
#include <string_view>

namespace lazuli::tool {

struct BenchFormat {
  std::string_view name;
  std::string (*write)(const BenchReport& report);
};
// text, markdown, csv, json, benchstat
std::span<const BenchFormat> bench_formats();

// Tables to read: runs, then each ratio and gain with its confidence interval.
std::string bench_text(const BenchReport& report);
// The same as GitHub's tables, with what is compared as before and after.
std::string bench_markdown(const BenchReport& report);
// RFC 4180; a line for each repetition, a column for each swept option.
std::string bench_csv(const BenchReport& report);
// The document of --json, whose keys scripts rely on.
Json bench_json(const BenchReport& report);
// Go's benchmark format (https://go.dev/design/14313-benchmark-format) for the program benchstat; a line for each
// repetition. An operation is a whole prompt, or one generated token.
std::string bench_benchstat(const BenchReport& report);

}  // namespace lazuli::tool
