// SPDX-License-Identifier: MIT
// From logits to a token.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/models/generation/likeliest_tokens.h>

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

namespace lazuli {

struct LAZULI_API SamplerOptions {
  double temperature = 0;     // 0: the largest logit
  std::int64_t top_k = 0;     // keep the k largest; 0: all
  double top_p = 1;           // keep the smallest set with this much probability (Holtzman et al. 2020)
  double min_p = 0;           // keep what has at least this share of the largest probability
  double repeat_penalty = 1;  // divides positive and multiplies negative logits of recent tokens (Keskar et al. 2019)
  std::int64_t repeat_window = 64;
  std::uint64_t seed = 0;

  bool greedy() const { return temperature == 0 && repeat_penalty == 1; }
};

class LAZULI_API Sampler {
 public:
  // The ids of `suppressed` are never drawn. Throws an Error that names the option and its range.
  explicit Sampler(const SamplerOptions& options, std::span<const std::int32_t> suppressed = {});

  // `recent` are the tokens so far, for the repeat penalty.
  std::int32_t sample(std::span<const float> logits, std::span<const std::int32_t> recent);
  const SamplerOptions& options() const { return options_; }

 private:
  // What lies behind ranked_, as far as it is known.
  struct Rest {
    bool empty = true, below_min_p = false;
    double weight = 0, error = 0;  // of the weight, and of the total with it
  };
  bool is_suppressed(std::size_t id) const;
  std::int32_t likeliest() const;
  void penalise(std::span<const std::int32_t> recent);
  void weigh_ranked();
  // The token that this number in [0, 1) draws. Where they cannot tell for certain, all but the last give none.
  std::optional<std::int32_t> draw_from_likely(double uniform);
  std::optional<std::int32_t> draw_from_ranked(const Rest& rest, double uniform);
  std::optional<std::int32_t> draw_from_front(double total, double error, double uniform) const;
  std::int32_t draw_from_all(double uniform);
  std::optional<bool> reaches_top_p(double sum, double next, double total, const Rest& rest) const;

  SamplerOptions options_;
  std::vector<std::int32_t> suppressed_;
  std::mt19937_64 random_;
  std::vector<float> logits_;        // with penalties; -inf where suppressed
  std::vector<RankedToken> ranked_;  // the first ones, in order
  std::vector<double> weights_;      // of these; the first one's is 1
};

}  // namespace lazuli
