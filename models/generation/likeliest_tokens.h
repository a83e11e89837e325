// SPDX-License-Identifier: MIT
// What sampling needs of a row of logits without sorting it: the tokens that stand out, in order, and how much
// probability the others share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lazuli {

struct RankedToken {
  std::int32_t id;
  float logit;

  // Larger logits first, ties by id.
  bool operator<(const RankedToken& other) const {
    return logit > other.logit || (logit == other.logit && id < other.id);
  }
};

// By operator<. Tokens come in the order of their ids; no logit is NaN.
void sort_tokens(std::vector<RankedToken>& tokens);

// None where a value is NaN or the largest is infinite.
std::optional<float> largest_logit(std::span<const float> logits);

// The `count` first tokens, in order.
void first_tokens(std::span<const float> logits, std::size_t count, std::vector<RankedToken>& tokens);

// The tokens of at least this logit, in order.
void tokens_from(std::span<const float> logits, float least, std::vector<RankedToken>& tokens);

// Of the tokens below `least`: the sum of exp((logit - largest) / temperature), within a relative error of 1e-4.
inline constexpr double rest_error = 1e-4;
double weight_below(std::span<const float> logits, float least, float largest, double temperature);

}  // namespace lazuli
