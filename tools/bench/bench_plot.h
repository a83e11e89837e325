// SPDX-License-Identifier: MIT
// A sweep of `lazuli bench` as a picture.
#pragma once

#include <lazuli/tools/bench/bench_report.h>

#include <string>

namespace lazuli::tool {

// SVG 1.1, a panel for each part: tokens a second over the values of the part's first label, a series for each
// combination of its other labels; a mark at the median, a bar from the least to the most. Values that are numbers are
// joined by lines, in the order they were given and at equal distances. Every run that has labels is drawn.
std::string bench_svg(const BenchReport& report);

}  // namespace lazuli::tool
