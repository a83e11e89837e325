// SPDX-License-Identifier: MIT
// An encoder block of BERT (Devlin et al. 2018) over a batch of two sequences, of which one is padded: its graph, the
// kernels it becomes, and its result beside that of bert_block_reference.py.
#include <lazuli/lazuli.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "bert_block_figures.h"
#include "formula_weights.h"

namespace lz = lazuli;

namespace {

constexpr std::int64_t batch = 2, length = 7, width = 48, heads = 4, hidden = 192;

lz::Array weight(std::int64_t rows, std::int64_t columns, std::uint32_t seed) {
  return formula_weights({rows, columns}, seed, 2.0 / std::sqrt(static_cast<double>(columns)));
}

lz::Array dense(const lz::Array& x, std::int64_t outputs, std::uint32_t seed) {
  return lz::linear(x, weight(outputs, x.size(-1), seed)) + formula_weights({outputs}, seed + 18, 0.1);
}

lz::Array norm(const lz::Array& x, std::uint32_t seed) {
  return lz::layer_norm(x, 1.0f + formula_weights({width}, seed, 0.5), formula_weights({width}, seed + 1, 0.5), 1e-12);
}

// [B, T, H] as [B, heads, T, H / heads]
lz::Array split_heads(const lz::Array& x) {
  return lz::transpose(lz::reshape(x, {batch, length, heads, width / heads}), {0, 2, 1, 3});
}

// `mask` [B, 1, 1, T]: 0 where a token stands, a large negative number at padding.
lz::Array encoder_block(const lz::Array& x, const lz::Array& mask) {
  const lz::Array q = split_heads(dense(x, width, 2)), k = split_heads(dense(x, width, 3));
  const lz::Array v = split_heads(dense(x, width, 4));
  const double scale = 1 / std::sqrt(static_cast<double>(width / heads));
  const lz::Array scores = lz::matmul(q, lz::swap_axes(k, 2, 3)) * scale + mask;
  const lz::Array mixed = lz::transpose(lz::matmul(lz::softmax(scores), v), {0, 2, 1, 3});
  const lz::Array attended = norm(x + dense(lz::reshape(mixed, {batch, length, width}), width, 5), 30);
  return norm(attended + dense(lz::gelu(dense(attended, hidden, 6)), width, 7), 32);
}

}  // namespace

int main() {
  lz::SessionOptions options;
  options.precision = lz::Precision::f32;
  lz::Session session(options);
  const lz::Array x = formula_weights({batch, length, width}, 1, 1);
  const lz::Array lengths = lz::Array::from({7, 4}, {batch, 1, 1, 1});
  const lz::Array mask = lz::select(lz::less(lz::iota(length), lengths), 0.0f, lz::scalar(-1e9));
  const lz::Array y = encoder_block(x, mask);
  std::cout << lz::to_text(session.plan({y}));

  const std::span<const float> values = y.data<float>();
  float worst = 0;
  for (std::size_t i = 0; i < std::size(expected_values); ++i)
    worst = std::max(worst, std::abs(values[i * 12] - expected_values[i]));
  std::cout << "largest error " << worst << "\n";
  return worst < 1e-4f ? 0 : 1;
}
