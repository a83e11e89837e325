// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/windows/patches.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace lazuli {
namespace {

// The phases along one axis.
std::vector<PatchAxis> phases_along(const WindowAxis& axis) {
  const std::int64_t period = axis.input_dilation / std::gcd(axis.stride, axis.input_dilation);
  std::vector<PatchAxis> phases;
  for (std::int64_t first = 0; first < std::min(period, axis.result); ++first) {
    PatchAxis phase;
    phase.size = axis.size;
    phase.count = (axis.result - first + period - 1) / period;
    phase.step = period * axis.stride / axis.input_dilation;
    phase.first = first;
    phase.period = period;
    phase.starts.clear();
    phase.taps.clear();
    for (std::int64_t tap = 0; tap < axis.kernel; ++tap) {
      const std::int64_t element = axis.flip ? axis.kernel - 1 - tap : tap;
      const std::int64_t dilated = first * axis.stride - axis.padding_low + element * axis.kernel_dilation;
      if (dilated % axis.input_dilation != 0) continue;
      phase.starts.push_back(dilated / axis.input_dilation);
      phase.taps.push_back(tap);
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

void set_zero(float* to, std::int64_t count) { std::memset(to, 0, static_cast<std::size_t>(count) * sizeof(float)); }
void copy(const float* from, std::int64_t count, float* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
}

bool follow_each_other(const std::vector<std::int64_t>& starts) {
  for (std::size_t t = 1; t < starts.size(); ++t)
    if (starts[t] != starts[t - 1] + 1) return false;
  return !starts.empty();
}

// The taps along the last axis of one pixel; `line` is where x is 0 on that axis. Pixels that follow each other are
// copied at once where all of their channels are wanted.
float* gather_line(const PatchAxis& axis, const PatchSource& source, std::int64_t j, const float* line, bool at_once,
                   float* to) {
  const auto taps = static_cast<std::int64_t>(axis.starts.size());
  if (at_once) {
    const std::int64_t position = j * axis.step + axis.starts[0];
    const std::int64_t begin = std::clamp<std::int64_t>(-position, 0, taps);
    const std::int64_t end = std::clamp<std::int64_t>(axis.size - position, begin, taps);
    set_zero(to, begin * source.channels);
    if (begin < end)
      copy(line + (position + begin) * source.channels, (end - begin) * source.channels, to + begin * source.channels);
    set_zero(to + end * source.channels, (taps - end) * source.channels);
    return to + taps * source.channels;
  }
  for (const std::int64_t start : axis.starts) {
    const std::int64_t position = j * axis.step + start;
    if (axis.is_inside(position))
      copy(line + position * source.channels + source.channel_begin, source.patch_channels, to);
    else
      set_zero(to, source.patch_channels);
    to += source.patch_channels;
  }
  return to;
}

}  // namespace

bool PatchAxis::all_inside(std::int64_t j) const {
  return std::all_of(starts.begin(), starts.end(), [&](std::int64_t start) { return is_inside(j * step + start); });
}

std::int64_t PatchPhase::taps() const {
  std::int64_t taps = 1;
  for (const PatchAxis& axis : axes) taps *= static_cast<std::int64_t>(axis.taps.size());
  return taps;
}

std::vector<PatchPhase> make_phases(const std::array<WindowAxis, 3>& axes) {
  std::vector<PatchPhase> phases;
  for (const PatchAxis& outer : phases_along(axes[0]))
    for (const PatchAxis& middle : phases_along(axes[1]))
      for (const PatchAxis& inner : phases_along(axes[2])) phases.push_back({{outer, middle, inner}});
  return phases;
}

void gather_patches(const PatchPhase& phase, const PatchSource& source, std::int64_t row_begin, std::int64_t row_end,
                    float* patches) {
  const auto& [outer, middle, inner] = phase.axes;
  const bool at_once = source.patch_channels == source.channels && follow_each_other(inner.starts);
  const std::int64_t line_floats = static_cast<std::int64_t>(inner.taps.size()) * source.patch_channels;
  if (line_floats == 0) return;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const std::int64_t j2 = row % inner.count, j1 = row / inner.count % middle.count,
                       j0 = row / (inner.count * middle.count) % outer.count, image = row / phase.pixels();
    for (const std::int64_t start0 : outer.starts) {
      const std::int64_t p0 = j0 * outer.step + start0;
      for (const std::int64_t start1 : middle.starts) {
        const std::int64_t p1 = j1 * middle.step + start1;
        if (!outer.is_inside(p0) || !middle.is_inside(p1)) {
          set_zero(patches, line_floats);
          patches += line_floats;
          continue;
        }
        const std::int64_t line = ((image * outer.size + p0) * middle.size + p1) * inner.size;
        patches = gather_line(inner, source, j2, source.x + line * source.channels, at_once, patches);
      }
    }
  }
}

}  // namespace lazuli
