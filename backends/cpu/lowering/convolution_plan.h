// SPDX-License-Identifier: MIT
// The sizes of a convolution, and how its products divide.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/kernels/windows/patches.h>
#include <lazuli/graph/attrs.h>

#include <array>
#include <vector>

namespace lazuli::cpu {

struct ConvolutionPlan {
  std::int64_t images = 0, channels = 0, outputs = 0;
  std::int64_t groups = 1;
  std::array<std::int64_t, 3> kernel = {1, 1, 1};
  std::int64_t taps = 1;                         // of the kernel
  std::int64_t pixels = 1;                       // of an image of the result
  std::int64_t middle_size = 1, inner_size = 1;  // of an image of the result, its last two axes
  std::vector<PatchPhase> phases;

  ConvolutionPlan(const ConvolutionAttrs& attrs, const Shape& x, const Shape& weight, const Shape& result);

  std::int64_t group_channels() const { return channels / groups; }
  std::int64_t group_outputs() const { return outputs / groups; }
  std::int64_t output_groups() const {  // of 16 outputs, in a group
    return (group_outputs() + packed_group_rows - 1) / packed_group_rows;
  }
  std::int64_t rows(const PatchPhase& phase) const { return images * phase.pixels(); }
  std::int64_t columns(const PatchPhase& phase) const { return phase.taps() * group_channels(); }
  std::int64_t most_columns() const;
  bool is_depthwise() const { return groups > 1 && groups == channels && groups == outputs; }
  // Whether x itself is the left matrix of the one phase.
  bool reads_pixels_as_rows() const;
  // The pixel of the result, counted through all images, that a row of a phase is.
  std::int64_t pixel_of(const PatchPhase& phase, std::int64_t row) const;
};

// The units of the products: blocks of rows of each phase, and parts of the outputs of each block. Every element is
// computed by itself, so that no choice here changes a bit.
struct ConvolutionBlocks {
  std::int64_t block_rows = 1;
  std::int64_t parts = 1;                // of the groups of 16 outputs, through all groups
  std::vector<std::int64_t> first_unit;  // of each phase, and behind the last one

  ConvolutionBlocks(const ConvolutionPlan& plan, int workers);

  std::int64_t units() const { return first_unit.back(); }
};

}  // namespace lazuli::cpu
