// SPDX-License-Identifier: MIT
// Two selective state-space layers (Mamba: Gu and Dao 2023, sections 3.2 to 3.4) around lz::scan. A prompt runs through
// them at once and further tokens one by one, from the states the prompt left; all of it is compared with what
// state_space_reference.py computed for the whole sequence.
#include <lazuli/lazuli.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <iterator>

#include "formula_weights.h"
#include "state_space_figures.h"

namespace lz = lazuli;

namespace {

using Arrays = std::vector<lz::Array>;

constexpr std::int64_t width = 24, inner = 48, states = 8, rank = 4, kernel_size = 4, prompt = 9, tokens = 12;

lz::Array weight(std::int64_t rows, std::int64_t columns, std::uint32_t seed) {
  return formula_weights({rows, columns}, seed, 2.0 / std::sqrt(static_cast<double>(columns)));
}

struct Layer {
  explicit Layer(std::uint32_t seed)
      : norm(1.0f + formula_weights({width}, seed + 1, 0.5)),
        into(weight(2 * inner, width, seed + 2)),
        kernel(formula_weights({inner, kernel_size, 1}, seed + 3, 0.7)),
        kernel_bias(formula_weights({inner}, seed + 4, 0.5)),
        select(weight(rank + 2 * states, inner, seed + 5)),
        step(weight(inner, rank, seed + 6)),
        step_bias(formula_weights({inner}, seed + 7, 0.5)),
        log_decay(formula_weights({inner, states}, seed + 8, 1)),
        skip(1.0f + formula_weights({inner}, seed + 9, 0.5)),
        out(weight(width, inner, seed + 10)) {}

  lz::Array norm, into, kernel, kernel_bias, select, step, step_bias, log_decay, skip, out;
};

// What a layer remembers: the last inputs of its convolution [kernel_size - 1, inner], its state [inner, states].
Arrays first_states() { return {lz::zeros({kernel_size - 1, inner}), lz::zeros({inner, states})}; }

// x [T, width]. The layer goes on from what it remembers, and leaves there what comes after x.
lz::Array run_layer(const Layer& layer, const lz::Array& x, lz::Array& window, lz::Array& state) {
  const std::int64_t count = x.size(0);
  const Arrays parts = lz::split(lz::linear(lz::rms_norm(x, layer.norm, 1e-5), layer.into), 2, 1);

  // Each channel is convolved with its own kernel, over itself and the inputs before it.
  const lz::Array seen = lz::concatenate({window, parts[0]}, 0);
  window = lz::slice_axis(seen, 0, count, count + kernel_size - 1);
  const lz::Array convolved =
      lz::conv1d(lz::expand_dims(seen, 0), layer.kernel, 1, 0, 1, /*groups=*/inner) + layer.kernel_bias;
  const lz::Array u = lz::silu(lz::reshape(convolved, {count, inner}));

  // Step size, and what goes into the state and out of it, depend on the input.
  const Arrays selected = lz::split(lz::linear(u, layer.select), lz::Dims{rank, rank + states}, 1);
  const lz::Array delta = lz::softplus(lz::linear(selected[0], layer.step) + layer.step_bias);

  const lz::ScanValues scanned = lz::scan(
      [&](const Arrays& h, const Arrays& at) {
        const lz::Array decay = -lz::exp(layer.log_decay);  // no token changes it: computed once
        const lz::Array column = lz::expand_dims(at[0], 1);
        const lz::Array next =
            lz::exp(column * decay) * h[0] + lz::expand_dims(at[0] * at[1], 1) * lz::expand_dims(at[2], 0);
        return lz::ScanValues{{next}, {lz::sum(next * at[3], {1}) + layer.skip * at[1]}};
      },
      {state}, {delta, u, selected[1], selected[2]});
  state = scanned.carry[0];
  return x + lz::linear(scanned.ys[0] * lz::silu(parts[1]), layer.out);
}

}  // namespace

int main() {
  lz::SessionOptions options;
  options.precision = lz::Precision::f32;  // bf16 products, where the host is faster with them, would differ by 1 %
  const lz::Session session(options);
  const std::vector<Layer> model{Layer(100), Layer(200)};

  // Activations [T, width], then what each layer remembers.
  const lz::CompiledFunction forward = lz::compile(
      [&](const Arrays& arguments) {
        Arrays results = arguments;
        for (std::size_t i = 0; i < model.size(); ++i)
          results[0] = run_layer(model[i], results[0], results[1 + 2 * i], results[2 + 2 * i]);
        return results;
      },
      {.donate = {1, 2, 3, 4}});

  const lz::Array x = formula_weights({tokens, width}, 1, 1);
  Arrays remembered;
  for (std::size_t i = 0; i < model.size(); ++i) std::ranges::move(first_states(), std::back_inserter(remembered));
  float worst = 0;
  for (std::int64_t begin = 0; begin < tokens;) {
    const std::int64_t end = begin == 0 ? prompt : begin + 1;
    Arrays arguments{lz::slice_axis(x, 0, begin, end)};
    std::ranges::move(remembered, std::back_inserter(arguments));
    const Arrays results = forward(std::move(arguments));
    remembered.assign(results.begin() + 1, results.end());

    const std::span<const float> activations = results[0].data<float>();
    for (std::size_t i = 0; i < activations.size(); ++i)
      worst = std::max(worst, std::abs(activations[i] - expected_values[static_cast<std::size_t>(begin * width) + i]));
    begin = end;
  }
  std::cout << "largest error " << worst << ", traced " << forward.signatures() << " times\n";
  return worst < 1e-4f && forward.signatures() == 2 ? 0 : 1;
}
