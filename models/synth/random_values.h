// SPDX-License-Identifier: MIT
// Random weights as a function of (seed, tensor, index), so that any part of a tensor can be made alone, on any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lazuli::synth {

// What one tensor's values are spread around. Each is rounded to bf16, as published weights are, and only then shifted
// by `offset`, which is exact in f32: files of every type hold the same weights, up to their quantisation.
struct Spread {
  float centre = 0;
  float deviation = 0;
  float offset = 0;
};

// The stream of a tensor.
std::int64_t stream_key(std::int64_t seed, std::string_view tensor);

// Elements [first, first + values.size()) of the stream, bell-shaped: the sum of the four bytes of word i of the Philox
// stream, which lies within 3.5 deviations.
void fill_random(std::int64_t key, std::int64_t first, const Spread& spread, std::span<float> values);

}  // namespace lazuli::synth
