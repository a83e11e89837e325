// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/cache_size.h>
#include <lazuli/backends/cpu/lowering/convolution_plan.h>
#include <lazuli/graph/base/round_up.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// Rows that tiles take at once.
constexpr std::int64_t row_granule = 8;
// More rows than these spare nothing: the weights of a tile come from the second cache for every few rows anyway. With
// fewer than those, reading the weights for each block takes longer than threads gain by more blocks.
constexpr std::int64_t max_block_rows = 96, min_block_rows = 64;
// Units of a worker, so that unequal ones end at nearly the same time.
constexpr std::int64_t units_of_worker = 4;

constexpr std::size_t axes = 3;

std::int64_t divide_up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

}  // namespace

ConvolutionPlan::ConvolutionPlan(const ConvolutionAttrs& attrs, const Shape& x, const Shape& weight,
                                 const Shape& result)
    : images(x[0]), channels(x.back()), outputs(weight[0]), groups(attrs.groups) {
  std::array<WindowAxis, axes> windows;
  const std::size_t missing = axes - attrs.stride.size();
  for (std::size_t axis = 0; axis < attrs.stride.size(); ++axis) {
    windows[missing + axis] = {x[axis + 1],
                               weight[axis + 1],
                               result[axis + 1],
                               attrs.stride[axis],
                               attrs.padding_low[axis],
                               attrs.kernel_dilation[axis],
                               attrs.input_dilation[axis],
                               attrs.flip};
    kernel[missing + axis] = weight[axis + 1];
    taps *= weight[axis + 1];
    pixels *= result[axis + 1];
  }
  middle_size = windows[1].result;
  inner_size = windows[2].result;
  phases = make_phases(windows);
}

std::int64_t ConvolutionPlan::most_columns() const {
  std::int64_t most = 0;
  for (const PatchPhase& phase : phases) most = std::max(most, columns(phase));
  return most;
}

bool ConvolutionPlan::reads_pixels_as_rows() const {
  if (phases.size() != 1 || taps != 1) return false;
  return std::all_of(phases[0].axes.begin(), phases[0].axes.end(), [](const PatchAxis& axis) {
    // Without a start every pixel meets the zeros between those of the input.
    return axis.step == 1 && axis.starts == Dims{0} && axis.count == axis.size;
  });
}

std::int64_t ConvolutionPlan::pixel_of(const PatchPhase& phase, std::int64_t row) const {
  const auto& [outer, middle, inner] = phase.axes;
  const auto position = [](const PatchAxis& axis, std::int64_t j) { return axis.first + j * axis.period; };
  const std::int64_t image = row / phase.pixels();
  const std::int64_t p0 = position(outer, row / (inner.count * middle.count) % outer.count),
                     p1 = position(middle, row / inner.count % middle.count), p2 = position(inner, row % inner.count);
  return image * pixels + (p0 * middle_size + p1) * inner_size + p2;
}

ConvolutionBlocks::ConvolutionBlocks(const ConvolutionPlan& plan, int workers) {
  const std::int64_t row_bytes =
      std::max<std::int64_t>(plan.most_columns(), 1) * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t fitting = std::clamp(level2_cache_bytes() / 2 / row_bytes, row_granule, max_block_rows);
  const std::int64_t wanted = workers * units_of_worker;
  std::int64_t rows = 0;
  for (const PatchPhase& phase : plan.phases) rows = std::max(rows, plan.rows(phase));
  const std::int64_t enough = divide_up(wanted, static_cast<std::int64_t>(plan.phases.size()));
  const std::int64_t blocks =
      std::max({std::int64_t{1}, divide_up(rows, fitting), std::min(enough, divide_up(rows, min_block_rows))});
  block_rows = round_up(divide_up(rows, blocks), row_granule);
  first_unit = {0};
  for (const PatchPhase& phase : plan.phases)
    first_unit.push_back(first_unit.back() + divide_up(plan.rows(phase), block_rows));
  if (workers > 1 && units() > 0 && units() < wanted)
    parts = std::min(divide_up(wanted, units()), plan.groups * plan.output_groups());
  for (std::int64_t& unit : first_unit) unit *= parts;
}

}  // namespace lazuli::cpu
