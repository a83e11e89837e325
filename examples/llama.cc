// SPDX-License-Identifier: MIT
// A Llama-style model of two layers: one function, traced once for the prompt and once for a token, with a key/value
// cache that goes round. Its logits are compared with those of llama_reference.py.
#include <lazuli/lazuli.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "formula_weights.h"
#include "llama_figures.h"

namespace lz = lazuli;

namespace {

constexpr std::int64_t vocabulary = 96, width = 64, heads = 4, kv_heads = 2, head_size = 16, hidden = 160, layers = 2;
constexpr std::int64_t capacity = 16;  // of the cache

lz::Array weight(std::int64_t rows, std::int64_t columns, std::uint32_t seed) {
  return formula_weights({rows, columns}, seed, 2.0 / std::sqrt(static_cast<double>(columns)));
}

struct Layer {
  explicit Layer(std::uint32_t seed)
      : q(weight(heads * head_size, width, seed + 1)),
        k(weight(kv_heads * head_size, width, seed + 2)),
        v(weight(kv_heads * head_size, width, seed + 3)),
        o(weight(width, heads * head_size, seed + 4)),
        gate(weight(hidden, width, seed + 5)),
        up(weight(hidden, width, seed + 6)),
        down(weight(width, hidden, seed + 7)),
        norm_1(1.0f + formula_weights({width}, seed + 8, 0.5)),
        norm_2(1.0f + formula_weights({width}, seed + 9, 0.5)) {}

  lz::Array q, k, v, o, gate, up, down, norm_1, norm_2;
};

// Of the tokens from position `start` on; the caches get their keys and values.
lz::Array run_layer(const Layer& layer, lz::Array x, const lz::Array& start, lz::Array& keys, lz::Array& values) {
  const std::int64_t count = x.size(0);
  const lz::Array positions = lz::iota(count) + start;
  const lz::Array h = lz::rms_norm(x, layer.norm_1, 1e-5);
  const lz::Array q = lz::reshape(lz::linear(h, layer.q), {count, heads, head_size});
  const lz::Array k = lz::reshape(lz::linear(h, layer.k), {count, kv_heads, head_size});
  const lz::Array v = lz::reshape(lz::linear(h, layer.v), {count, kv_heads, head_size});
  keys = lz::slice_update(keys, lz::rope(k, positions, {}), start, 0);
  values = lz::slice_update(values, v, start, 0);
  const lz::Array length = start + static_cast<int>(count);
  const lz::Array mixed =
      lz::attention(lz::rope(q, positions, {}), keys, values, positions, length, {.scale = 1 / std::sqrt(head_size)});
  x = x + lz::linear(lz::reshape(mixed, {count, heads * head_size}), layer.o);
  const lz::Array n = lz::rms_norm(x, layer.norm_2, 1e-5);
  return x + lz::linear(lz::silu(lz::linear(n, layer.gate)) * lz::linear(n, layer.up), layer.down);
}

}  // namespace

int main() {
  lz::SessionOptions options;
  options.precision = lz::Precision::f32;  // bf16 products, where the host is faster with them, would differ by 1 %
  const lz::Session session(options);
  const lz::Array embedding = formula_weights({vocabulary, width}, 1, 1), head = weight(vocabulary, width, 2);
  const std::vector<Layer> model{Layer(100), Layer(200)};

  // Tokens i32 [T], the first one's position i32 [], then keys and values of each layer.
  lz::CompileOptions given_up;
  for (int i = 0; i < 2 * layers; ++i) given_up.donate.push_back(2 + i);
  const lz::CompiledFunction forward = lz::compile(
      [&](const std::vector<lz::Array>& arguments) {
        std::vector<lz::Array> results(arguments.begin() + 1, arguments.end());
        lz::Array x = lz::take(embedding, arguments[0], 0);
        for (std::size_t i = 0; i < model.size(); ++i)
          x = run_layer(model[i], x, arguments[1], results[1 + 2 * i], results[2 + 2 * i]);
        results[0] = lz::linear(lz::rms_norm(lz::slice_axis(x, 0, x.size(0) - 1, x.size(0)), 1e-5), head);
        return results;
      },
      given_up);

  std::vector<lz::Array> state(2 * layers, lz::zeros({capacity, kv_heads, head_size}));
  std::vector<std::int32_t> tokens{5, 17, 60, 2, 33};
  std::int32_t start = 0;
  float worst = 0;
  for (std::size_t step = 0; step < 4; ++step) {
    std::vector<lz::Array> arguments{lz::Array::from(tokens, {static_cast<std::int64_t>(tokens.size())}),
                                     lz::Array::from({start}, {})};
    std::ranges::move(state, std::back_inserter(arguments));
    const std::vector<lz::Array> results = forward(std::move(arguments));
    state.assign(results.begin() + 1, results.end());

    const std::span<const float> logits = results[0].data<float>();
    for (std::size_t i = 0; i < logits.size(); i += 8)
      worst = std::max(worst, std::abs(logits[i] - expected_values[step * logits.size() / 8 + i / 8]));
    start += static_cast<std::int32_t>(tokens.size());
    tokens = {static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin())};
    std::cout << "token " << tokens[0] << "\n";
  }
  std::cout << "largest error " << worst << ", traced " << forward.signatures() << " times\n";
  return worst < 1e-4f && forward.signatures() == 2 ? 0 : 1;
}
