// SPDX-License-Identifier: MIT
#include <lazuli/models/generation/likeliest_tokens.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace lazuli {
namespace {

// A vocabulary is taken in blocks, of which nearly all hold nothing that stands out.
constexpr std::size_t block = 64;

using Floats = float __attribute__((vector_size(16)));
using Ints = std::int32_t __attribute__((vector_size(16)));
constexpr std::size_t lanes = 4;

Floats load(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

bool any(const Ints& mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }

// Calls visit(id) for all values of at least `least`, in the order of their ids. visit gives the next `least`.
template <class Visit>
void visit_from(std::span<const float> logits, float least, Visit visit) {
  std::size_t i = 0;
  for (; i + block <= logits.size(); i += block) {
    Ints found{};
    for (std::size_t j = 0; j < block; j += lanes) found |= load(&logits[i + j]) >= least;
    if (!any(found)) continue;
    for (std::size_t j = i; j < i + block; ++j)
      if (logits[j] >= least) least = visit(j);
  }
  for (; i < logits.size(); ++i)
    if (logits[i] >= least) least = visit(i);
}

// 2^exponents for exponents of at most 0; what is smaller than 2^-126 counts as that. Relative error 3e-7 (the Taylor
// polynomial of degree 7 on (-1, 0]).
Floats power_of_two(Floats exponents) {
  const Ints tiny = exponents < -126.0f;
  exponents = reinterpret_cast<Floats>((reinterpret_cast<Ints>(exponents) & ~tiny) |
                                       (reinterpret_cast<Ints>(Floats{} - 126.0f) & tiny));
  const Ints whole = __builtin_convertvector(exponents, Ints);  // towards 0
  const Floats x = exponents - __builtin_convertvector(whole, Floats);
  Floats power = Floats{} + 1.5252734e-5f;
  for (const float coefficient :
       {1.5403530e-4f, 1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f})
    power = power * x + coefficient;
  return power * reinterpret_cast<Floats>((whole + 127) << 23);
}

// Unsigned integers in the opposite order of the logits; 0 and -0 are equal.
std::uint32_t sort_key(float logit) {
  const auto bits = std::bit_cast<std::uint32_t>(logit + 0.0f);
  return (bits >> 31) != 0 ? bits : ~bits & 0x7fffffffu;
}

}  // namespace

// Many are sorted digit by digit, from the last one on: comparing takes ten times as long for a whole vocabulary.
void sort_tokens(std::vector<RankedToken>& tokens) {
  constexpr std::size_t few = 4096;
  constexpr int digit_bits = 11;
  constexpr std::uint32_t digits = 1u << digit_bits;
  if (tokens.size() < few) return std::sort(tokens.begin(), tokens.end());
  std::vector<RankedToken> sorted(tokens.size());
  for (int shift = 0; shift < 32; shift += digit_bits) {
    const auto digit = [shift](const RankedToken& token) { return (sort_key(token.logit) >> shift) % digits; };
    std::vector<std::uint32_t> next(digits + 1);
    for (const RankedToken& token : tokens) ++next[digit(token) + 1];
    for (std::size_t i = 1; i < digits; ++i) next[i] += next[i - 1];
    for (const RankedToken& token : tokens) sorted[next[digit(token)]++] = token;
    tokens.swap(sorted);
  }
}

std::optional<float> largest_logit(std::span<const float> logits) {
  Floats largest = Floats{} - std::numeric_limits<float>::infinity();
  Ints none{};
  std::size_t i = 0;
  for (; i + lanes <= logits.size(); i += lanes) {
    const Floats values = load(&logits[i]);
    none |= values != values;
    largest = values > largest ? values : largest;
  }
  float result = std::max(std::max(largest[0], largest[1]), std::max(largest[2], largest[3]));
  bool is_number = !any(none);
  for (; i < logits.size(); ++i) {
    is_number = is_number && logits[i] == logits[i];
    result = std::max(result, logits[i]);
  }
  if (!is_number || std::isinf(result)) return std::nullopt;
  return result;
}

void first_tokens(std::span<const float> logits, std::size_t count, std::vector<RankedToken>& tokens) {
  tokens.clear();
  count = std::min(count, logits.size());
  if (count == 0) return;
  // Room for as many again: what comes in is cut to the first ones now and then.
  const std::size_t most = 2 * count + block;
  float least = -std::numeric_limits<float>::infinity();
  visit_from(logits, least, [&](std::size_t id) {
    tokens.push_back({static_cast<std::int32_t>(id), logits[id]});
    if (tokens.size() < most) return least;
    std::nth_element(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count) - 1, tokens.end());
    tokens.resize(count);
    return least = tokens.back().logit;
  });
  std::sort(tokens.begin(), tokens.end());
  tokens.resize(count);
}

void tokens_from(std::span<const float> logits, float least, std::vector<RankedToken>& tokens) {
  tokens.clear();
  visit_from(logits, least, [&](std::size_t id) {
    tokens.push_back({static_cast<std::int32_t>(id), logits[id]});
    return least;
  });
  sort_tokens(tokens);
}

double weight_below(std::span<const float> logits, float least, float largest, double temperature) {
  constexpr double log2_e = 1.4426950408889634;
  const auto scale = static_cast<float>(log2_e / temperature);
  double total = 0;
  std::size_t i = 0;
  for (; i + block <= logits.size(); i += block) {
    Floats sum{};
    for (std::size_t j = 0; j < block; j += lanes) {
      const Floats values = load(&logits[i + j]);
      const Ints below = values < least;
      sum += reinterpret_cast<Floats>(reinterpret_cast<Ints>(power_of_two((values - largest) * scale)) & below);
    }
    total += static_cast<double>(sum[0]) + sum[1] + sum[2] + sum[3];
  }
  for (; i < logits.size(); ++i)
    if (logits[i] < least) total += std::exp((static_cast<double>(logits[i]) - largest) / temperature);
  return total;
}

}  // namespace lazuli
