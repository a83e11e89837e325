// SPDX-License-Identifier: MIT
#include <lazuli/runtime/statistics.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

namespace lazuli {

double median(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

Ratio paired_ratio(std::span<const double> first, std::span<const double> second) {
  constexpr std::size_t resamples = 10'000;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < first.size(); ++i) ratios.push_back(first[i] / second[i]);

  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::size_t> pick(0, ratios.size() - 1);
  std::vector<double> medians(resamples), sample(ratios.size());
  for (double& resampled : medians) {
    for (double& ratio : sample) ratio = ratios[pick(random)];
    resampled = median(sample);
  }
  std::sort(medians.begin(), medians.end());
  return {median(ratios), medians[resamples / 40], medians[resamples - 1 - resamples / 40]};
}

}  // namespace lazuli
