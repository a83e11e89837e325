// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/generation/sampler.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace lazuli {
namespace {

void check_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) fail("{}: {} given, expected {} to {}", name, value, low, high);
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options, std::span<const std::int32_t> suppressed)
    : options_(options), suppressed_(suppressed.begin(), suppressed.end()), random_(options.seed) {
  std::ranges::sort(suppressed_);
  check_range("temperature", options.temperature, 0, 100);
  check_range("top-k", static_cast<double>(options.top_k), 0, 1e9);
  check_range("top-p", options.top_p, 0, 1);
  check_range("min-p", options.min_p, 0, 1);
  check_range("repeat-penalty", options.repeat_penalty, 1e-3, 100);
}

void Sampler::penalise(std::span<const std::int32_t> recent) {
  const auto window = static_cast<std::size_t>(std::max<std::int64_t>(options_.repeat_window, 0));
  if (recent.size() > window) recent = recent.last(window);
  const std::unordered_set<std::int32_t> distinct(recent.begin(), recent.end());
  const auto penalty = static_cast<float>(options_.repeat_penalty);
  for (std::int32_t id : distinct) {
    if (id < 0 || static_cast<std::size_t>(id) >= candidates_.size()) continue;
    float& logit = candidates_[static_cast<std::size_t>(id)].logit;
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

void Sampler::suppress() {
  std::erase_if(candidates_, [&](const Candidate& c) { return std::ranges::binary_search(suppressed_, c.id); });
  if (candidates_.empty()) fail("sample: every token is suppressed");
}

// Leaves the kept candidates in descending order, ties by id, and their unnormalised probabilities in weights_.
void Sampler::keep_likely() {
  const auto larger = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  const auto most =
      options_.top_k > 0 ? std::min(candidates_.size(), static_cast<std::size_t>(options_.top_k)) : candidates_.size();
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(most), candidates_.end(),
                    larger);
  candidates_.resize(most);
  weights_.clear();
  double total = 0;
  for (const Candidate& candidate : candidates_) {
    weights_.push_back(std::exp((static_cast<double>(candidate.logit) - candidates_[0].logit) / options_.temperature));
    total += weights_.back();
  }
  std::size_t kept = 0;
  for (double sum = 0; kept < weights_.size(); ++kept) {
    if (kept > 0 && (sum >= options_.top_p * total || weights_[kept] < options_.min_p * weights_[0])) break;
    sum += weights_[kept];
  }
  weights_.resize(kept);
}

std::int32_t Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> recent) {
  if (logits.empty()) fail("sample: no logits given");
  candidates_.clear();
  for (std::size_t id = 0; id < logits.size(); ++id) candidates_.push_back({static_cast<std::int32_t>(id), logits[id]});
  if (options_.repeat_penalty != 1) penalise(recent);
  if (!suppressed_.empty()) suppress();
  if (options_.temperature == 0)
    return std::max_element(candidates_.begin(), candidates_.end(),
                            [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; })
        ->id;
  keep_likely();
  double total = 0;
  for (double weight : weights_) total += weight;
  // 53 random bits: the same draw on every standard library.
  double draw = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    draw -= weights_[i];
    if (draw < 0) return candidates_[i].id;
  }
  return candidates_[weights_.size() - 1].id;
}

}  // namespace lazuli
