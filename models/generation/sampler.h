// SPDX-License-Identifier: MIT
// From logits to a token.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
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
  struct Candidate {
    std::int32_t id;
    float logit;
  };
  void suppress();
  void penalise(std::span<const std::int32_t> recent);
  void keep_likely();

  SamplerOptions options_;
  std::vector<std::int32_t> suppressed_;
  std::mt19937_64 random_;
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
};

}  // namespace lazuli
