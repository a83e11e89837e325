// SPDX-License-Identifier: MIT
// A convolution as products of matrices: a row of the left one holds the elements of x that one pixel of the result
// meets (im2col), in the order of the kernel's elements.
//
// Where the input is dilated (a transposed convolution), neighbouring pixels of the result meet different elements of
// the kernel, and every so many the same again. Those that meet the same are a phase: a convolution without dilation of
// the input, of some of the kernel's elements, none of which is multiplied by a zero between the elements of x.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace lazuli {

// Along one axis, pixel j of a phase is pixel first + j period of the result, and its tap t meets element
// j step + starts[t] of x, if that is inside [0, size).
struct PatchAxis {
  std::int64_t size = 1;
  std::int64_t count = 1;  // of j
  std::int64_t step = 1;
  std::int64_t first = 0, period = 1;
  std::vector<std::int64_t> starts = {0};
  std::vector<std::int64_t> taps = {0};  // which element of the kernel each one is

  bool is_inside(std::int64_t position) const { return position >= 0 && position < size; }
  // Whether every tap of pixel j is inside.
  bool all_inside(std::int64_t j) const;
};

// Three axes, outermost first; those that are not there have one element.
struct PatchPhase {
  std::array<PatchAxis, 3> axes;

  std::int64_t pixels() const { return axes[0].count * axes[1].count * axes[2].count; }  // of one image
  std::int64_t taps() const;
};

// What a convolution does along one axis.
struct WindowAxis {
  std::int64_t size = 1, kernel = 1, result = 1;
  std::int64_t stride = 1, padding_low = 0, kernel_dilation = 1, input_dilation = 1;
  bool flip = false;
};
std::vector<PatchPhase> make_phases(const std::array<WindowAxis, 3>& axes);

// Images of f32 pixels [batch, size..., channels], of which the patches hold the channels
// [channel_begin, channel_begin + patch_channels).
struct PatchSource {
  const float* x;
  std::int64_t channels;
  std::int64_t channel_begin, patch_channels;
};
// Rows [row_begin, row_end) of a phase, taps() * patch_channels floats each. Rows go through the pixels of one image
// after the other; zeros stand for elements outside.
void gather_patches(const PatchPhase& phase, const PatchSource& source, std::int64_t row_begin, std::int64_t row_end,
                    float* patches);

}  // namespace lazuli
