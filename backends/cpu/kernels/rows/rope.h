// SPDX-License-Identifier: MIT
// Rotary position embedding, rotate-half (Su et al. 2021): for each pair (j, j + width / 2) of a head,
//   out[j]             = x[j] cos(a) - x[j + width / 2] sin(a)
//   out[j + width / 2] = x[j + width / 2] cos(a) + x[j] sin(a),   a = position * inverse_frequencies[j].
#pragma once

#include <cstdint>
#include <vector>

namespace lazuli {

// scale * base^(-2 j / width) / factors[j] for j < rotated_pairs (0: width / 2), computed in double.
// `factors` may be null; otherwise it has at least that many entries. Throws Error unless width is even and positive,
// rotated_pairs is in [0, width / 2] and base is positive.
std::vector<float> make_inverse_frequencies(std::int64_t width, double base, double scale, std::int64_t rotated_pairs,
                                            const float* factors = nullptr);

// Sines and cosines of position * inverse frequency for rows [row_begin, row_end): turns is [rows, 2, pairs], the
// cosines of a row first. The angle is exact to a double, its sine and cosine to 1e-7, at any position.
void rope_turns(const std::int32_t* positions, const float* inverse_frequencies, std::int64_t pairs, float* turns,
                std::int64_t row_begin, std::int64_t row_end);

// Strides are in elements, from one row to the next; within a row the heads follow each other, `width` elements each.
struct RopeArguments {
  const float* x;  // [rows, heads, width]
  float* out;      // [rows, heads, width]; x itself, or apart from it
  std::int64_t heads;
  std::int64_t width;
  std::int64_t x_stride;
  std::int64_t out_stride;
  const float* turns;  // [rows, 2, pairs], of rope_turns
  std::int64_t pairs;  // that turn, at most width / 2; the others are copied
};

// Rows [row_begin, row_end).
void rope_rows(const RopeArguments& arguments, std::int64_t row_begin, std::int64_t row_end);

}  // namespace lazuli
