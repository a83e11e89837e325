// SPDX-License-Identifier: MIT
// Sampling draws what sorting the whole vocabulary would.
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/models/generation/sampler.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace lazuli {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// The definition: all tokens in order, their probabilities, the cuts, a draw.
class SortedSampler {
 public:
  SortedSampler(const SamplerOptions& options, std::vector<std::int32_t> suppressed)
      : options_(options), suppressed_(std::move(suppressed)), random_(options.seed) {}

  std::int32_t sample(const std::vector<float>& logits) {
    std::vector<std::pair<float, std::int32_t>> tokens;
    for (std::size_t id = 0; id < logits.size(); ++id)
      if (std::ranges::count(suppressed_, static_cast<std::int32_t>(id)) == 0)
        tokens.emplace_back(-logits[id], static_cast<std::int32_t>(id));
    std::ranges::sort(tokens);
    if (options_.top_k > 0) tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(options_.top_k)));
    std::vector<double> weights;
    double total = 0;
    for (const auto& [negative, id] : tokens) {
      weights.push_back(std::exp((static_cast<double>(tokens[0].first) - negative) / options_.temperature));
      total += weights.back();
    }
    std::size_t kept = 1;
    for (double sum = weights[0]; kept < weights.size(); sum += weights[kept++])
      if (sum >= options_.top_p * total || weights[kept] < options_.min_p) break;
    total = 0;
    for (std::size_t i = 0; i < kept; ++i) total += weights[i];
    double draw = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
    for (std::size_t i = 0; i < kept; ++i)
      if ((draw -= weights[i]) < 0) return tokens[i].second;
    return tokens[kept - 1].second;
  }

 private:
  SamplerOptions options_;
  std::vector<std::int32_t> suppressed_;
  std::mt19937_64 random_;
};

std::vector<float> random_logits(std::size_t size, float spread, bool with_ties, std::mt19937& random) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = with_ties ? std::round(normal(random) * 2) / 2 : normal(random);
  for (int i = 0; i < 10; ++i) logits[random() % size] += 2 * spread;
  return logits;
}

TEST(Sampler, DrawsWhatSortingWould) {
  std::vector<SamplerOptions> choices;
  for (const double temperature : {0.05, 0.8, 3.0}) {
    for (const double top_p : {1.0, 0.95, 0.3, 0.0})
      for (const double min_p : {0.0, 1e-9, 0.05, 1.0})
        for (const std::int64_t top_k : {0, 1, 64, 10000})
          choices.push_back({.temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p});
  }
  const std::vector<std::int32_t> suppressed{0, 3, 500};
  std::mt19937 random(1);
  for (std::size_t i = 0; i < choices.size(); ++i) {
    choices[i].seed = i;
    Sampler sampler(choices[i], suppressed);
    SortedSampler sorted(choices[i], suppressed);
    for (const float spread : {0.0f, 0.01f, 1.0f, 6.0f}) {
      const std::vector<float> logits = random_logits(5001, spread, i % 2 == 0, random);
      for (int draw = 0; draw < 3; ++draw)
        ASSERT_EQ(sampler.sample(logits, {}), sorted.sample(logits))
            << "temperature " << choices[i].temperature << " top_k " << choices[i].top_k << " top_p "
            << choices[i].top_p << " min_p " << choices[i].min_p << " spread " << spread;
    }
  }
}

TEST(Sampler, DrawsFromSmallVocabularies) {
  std::mt19937 random(2);
  for (std::size_t size = 1; size < 140; ++size) {
    const SamplerOptions options{.temperature = 1, .top_k = static_cast<std::int64_t>(size % 7), .seed = size};
    Sampler sampler(options);
    SortedSampler sorted(options, {});
    const std::vector<float> logits = random_logits(size, 3, size % 2 == 0, random);
    for (int draw = 0; draw < 20; ++draw) ASSERT_EQ(sampler.sample(logits, {}), sorted.sample(logits)) << size;
  }
}

TEST(Sampler, NeverDrawsWhatIsSuppressed) {
  const std::vector<float> logits{5, 9, 9, -infinity};
  for (const SamplerOptions& options :
       {SamplerOptions{.temperature = 0, .repeat_penalty = 1.1}, SamplerOptions{.temperature = 1},
        SamplerOptions{.temperature = 1, .top_k = 3}, SamplerOptions{.temperature = 1, .top_p = 0.5},
        SamplerOptions{.temperature = 1, .min_p = 0.5}}) {
    const std::vector<std::int32_t> suppressed{1, 2}, all{0, 1, 2, 3}, beyond{-1, 7};
    Sampler some(options, suppressed), none(options, all), others(options, beyond);
    for (int draw = 0; draw < 20; ++draw) EXPECT_EQ(some.sample(logits, {}), 0);
    EXPECT_THROW(none.sample(logits, {}), Error);
    EXPECT_NE(others.sample(logits, {}), 3);
  }
}

TEST(Sampler, PenalisesWhatWasSaid) {
  Sampler sampler({.temperature = 0, .repeat_penalty = 2});
  const std::vector<std::int32_t> recent{1, -1, 99};
  EXPECT_EQ(sampler.sample(std::vector<float>{3, 5, 1}, recent), 0);
  EXPECT_EQ(sampler.sample(std::vector<float>{-3, -2, -5}, recent), 0);
}

}  // namespace
}  // namespace lazuli
