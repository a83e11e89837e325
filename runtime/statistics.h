// SPDX-License-Identifier: MIT
// Figures of repeated measurements.
#pragma once

#include <span>

namespace lazuli {

// Mean of the two middle values where their number is even. `values` is not empty.
double median(std::span<const double> values);

struct Ratio {
  double value, low, high;
};

// Median of first[i] / second[i] over paired repetitions, with a 95 % confidence interval: the percentile bootstrap
// (Efron 1979) with a fixed seed. Both spans have the same length, at least 1; of a single pair, low = high = value.
Ratio paired_ratio(std::span<const double> first, std::span<const double> second);

}  // namespace lazuli
