// SPDX-License-Identifier: MIT
// A small convolutional network, compiled once and called with two images; what it says is compared with figures that
// cnn_reference.py has computed in numpy.
#include <lazuli/lazuli.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>

#include "cnn_figures.h"

namespace lz = lazuli;

namespace {

// Numbers that are exact in f32, so that the reference has the same.
lz::Array values(std::uint64_t seed, const lz::Shape& shape) {
  std::vector<float> numbers(static_cast<std::size_t>(lz::element_count(shape)));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::uint64_t hashed = ((i + 1000 * seed) * 2654435761u) % (std::uint64_t{1} << 32) >> 16;
    numbers[i] = static_cast<float>(hashed) / 65536 - 0.5f;
  }
  return lz::Array::from(numbers, shape);
}

// Weights are made once; the program packs them once.
struct Network {
  lz::Array stem = values(1, {16, 3, 3, 1}), stem_bias = values(2, {16});
  lz::Array depthwise = values(3, {16, 3, 3, 1}), depthwise_bias = values(4, {16});
  lz::Array pointwise = values(5, {24, 1, 1, 16}), pointwise_bias = values(6, {24});
  lz::Array last = values(7, {32, 3, 3, 24}), last_bias = values(8, {32});
  lz::Array head = values(9, {10, 32});

  // x [images, 28, 28, 1] -> probabilities [images, 10]
  lz::Array operator()(const lz::Array& x) const {
    lz::Array y = lz::relu(lz::conv2d(x, stem, {1}, {1}) + stem_bias);
    y = lz::max_pool(y, {.kernel = {2}});
    y = lz::relu(lz::conv2d(y, depthwise, {1}, {1}, {1}, /*groups=*/16) + depthwise_bias);
    y = lz::relu(lz::conv2d(y, pointwise) + pointwise_bias);
    y = lz::relu(lz::conv2d(y, last, {2}, {1}) + last_bias);
    return lz::softmax(lz::linear(lz::mean(y, {1, 2}), head));
  }
};

}  // namespace

int main() {
  const lz::Session session;
  const lz::CompiledFunction classify =
      lz::compile([network = Network()](const std::vector<lz::Array>& in) { return std::vector{network(in[0])}; });
  const lz::Array classes = classify({values(10, {2, 28, 28, 1}) * 2})[0];
  const std::span<const float> probabilities = classes.data<float>();

  double difference = 0;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    difference = std::max(difference, std::fabs(probabilities[i] - expected_classes[i / 10][i % 10]));
    std::cout << probabilities[i] << (i % 10 == 9 ? "\n" : " ");
  }
  std::cout << "largest difference from numpy: " << difference << "\n";
  return difference < 1e-5 ? 0 : 1;
}
