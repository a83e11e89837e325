// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/generation/sampler.h>

#include <algorithm>
#include <cmath>
#include <limits>
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
    if (id < 0 || static_cast<std::size_t>(id) >= logits_.size()) continue;
    float& logit = logits_[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

bool Sampler::is_suppressed(std::size_t id) const {
  return std::ranges::binary_search(suppressed_, static_cast<std::int32_t>(id));
}

// The first of the largest.
std::int32_t Sampler::likeliest() const {
  std::size_t best = logits_.size();
  for (std::size_t id = 0; id < logits_.size(); ++id)
    if ((best == logits_.size() || logits_[best] < logits_[id]) && !is_suppressed(id)) best = id;
  if (best == logits_.size()) fail("sample: every token is suppressed");
  return static_cast<std::int32_t>(best);
}

void Sampler::weigh_ranked() {
  weights_.clear();
  for (const RankedToken& token : ranked_)
    weights_.push_back(std::exp((static_cast<double>(token.logit) - ranked_[0].logit) / options_.temperature));
}

// Whether tokens of the weight `sum` are enough, where one of the weight `next` follows.
std::optional<bool> Sampler::reaches_top_p(double sum, double next, double total, const Rest& rest) const {
  if (rest.empty) return sum >= options_.top_p * total;
  if (options_.top_p >= 1) return sum + next > sum ? std::optional(false) : std::nullopt;
  const double enough = options_.top_p * total, error = options_.top_p * rest.error;
  if (sum >= enough + error) return true;
  return sum < enough - error ? std::optional(false) : std::nullopt;
}

// Cuts ranked_ by top_p and min_p, and draws from what is left.
std::optional<std::int32_t> Sampler::draw_from_ranked(const Rest& rest, double uniform) {
  weigh_ranked();
  double total = 0;
  for (const double weight : weights_) total += weight;
  total += rest.weight;
  if (!rest.empty && options_.top_p >= 1 && options_.min_p <= 0) return draw_from_front(total, rest.error, uniform);
  bool ends_here = rest.empty || rest.below_min_p;
  std::size_t kept = 0;
  for (double sum = 0; kept < weights_.size(); sum += weights_[kept++]) {
    if (kept == 0) continue;
    const std::optional<bool> enough = reaches_top_p(sum, weights_[kept], total, rest);
    if (!enough) return std::nullopt;
    if (!*enough && weights_[kept] >= options_.min_p * weights_[0]) continue;
    ends_here = true;
    break;
  }
  if (!ends_here) return std::nullopt;
  total = 0;
  for (std::size_t i = 0; i < kept; ++i) total += weights_[i];
  double draw = uniform * total;
  for (std::size_t i = 0; i < kept; ++i) {
    draw -= weights_[i];
    if (draw < 0) return ranked_[i].id;
  }
  return ranked_[kept - 1].id;
}

// Where all tokens are kept: most draws end among the first of them.
std::optional<std::int32_t> Sampler::draw_from_front(double total, double error, double uniform) const {
  double draw = uniform * total;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    draw -= weights_[i];
    if (draw < -error) return ranked_[i].id;
    if (draw <= error) return std::nullopt;
  }
  return std::nullopt;
}

// Ranks only as many tokens as the draw needs, and takes the weight of the others together: as its rounding differs,
// what lies within it of a border is not decided here.
std::optional<std::int32_t> Sampler::draw_from_likely(double uniform) {
  constexpr double least_temperature = 1e-6;
  const std::optional<float> largest = largest_logit(logits_);
  if (!largest || options_.temperature < least_temperature) return std::nullopt;
  if (options_.top_k > 0) {
    if (static_cast<std::size_t>(options_.top_k) > logits_.size() / 16) return std::nullopt;
    first_tokens(logits_, static_cast<std::size_t>(options_.top_k), ranked_);
    return std::isinf(ranked_.back().logit) ? std::nullopt : draw_from_ranked({}, uniform);
  }
  const bool needs_rest = options_.top_p < 1 || options_.min_p <= 0;
  // Logits that far below the largest, in units of the temperature; with min_p, to just beyond what it keeps.
  for (double depth : {6.0, 14.0, 30.0}) {
    if (options_.min_p > 0) depth = std::min(depth, 1e-3 - std::log(options_.min_p));
    const auto least = static_cast<float>(*largest - depth * options_.temperature);
    tokens_from(logits_, least, ranked_);
    if (ranked_.size() > logits_.size() / 4) return std::nullopt;
    Rest rest{.empty = false};
    const double share = std::exp((static_cast<double>(least) - *largest) / options_.temperature);
    rest.below_min_p = share * (1 + 1e-9) < options_.min_p;
    if (needs_rest) rest.weight = weight_below(logits_, least, *largest, options_.temperature);
    // Each token adds a rounding to the total, and takes one from the draw.
    const double roundings = 4 * static_cast<double>(logits_.size()) * std::numeric_limits<double>::epsilon();
    rest.error = rest_error * rest.weight + roundings * (static_cast<double>(ranked_.size()) + rest.weight);
    if (const auto drawn = draw_from_ranked(rest, uniform)) return drawn;
  }
  return std::nullopt;
}

std::int32_t Sampler::draw_from_all(double uniform) {
  ranked_.clear();
  auto next_suppressed = suppressed_.begin();
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    while (next_suppressed != suppressed_.end() && *next_suppressed < id) ++next_suppressed;
    if (next_suppressed == suppressed_.end() || *next_suppressed != id) ranked_.push_back({id, logits_[i]});
  }
  if (ranked_.empty()) fail("sample: every token is suppressed");
  const auto most =
      options_.top_k > 0 ? std::min(ranked_.size(), static_cast<std::size_t>(options_.top_k)) : ranked_.size();
  if (most < ranked_.size())
    std::partial_sort(ranked_.begin(), ranked_.begin() + static_cast<std::ptrdiff_t>(most), ranked_.end());
  else
    sort_tokens(ranked_);
  ranked_.resize(most);
  return *draw_from_ranked({}, uniform);
}

std::int32_t Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> recent) {
  if (logits.empty()) fail("sample: no logits given");
  logits_.assign(logits.begin(), logits.end());
  if (options_.repeat_penalty != 1) penalise(recent);
  if (options_.temperature == 0) return likeliest();
  for (const std::int32_t id : suppressed_)
    if (id >= 0 && static_cast<std::size_t>(id) < logits_.size())
      logits_[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
  // 53 random bits: the same draw on every standard library.
  const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;
  const std::optional<std::int32_t> drawn = draw_from_likely(uniform);
  return drawn ? *drawn : draw_from_all(uniform);
}

}  // namespace lazuli
