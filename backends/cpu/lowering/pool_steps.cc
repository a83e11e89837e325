// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/range.h>
#include <lazuli/backends/cpu/kernels/windows/windows.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/pool_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

namespace lazuli::cpu {
namespace {

// Channels of a unit where there are too few rows for all threads.
constexpr std::int64_t part_channels = 64;

// Along one axis, the elements begin, begin + step, ... before `end`, all of them inside, and how many a mean counts.
struct Window {
  std::int64_t begin = 0, end = 1, counted = 1;
};
struct PoolAxis {
  std::int64_t size = 1, step = 1;
  std::vector<Window> windows = {Window{}};  // of each element of the result

  std::int64_t count() const { return static_cast<std::int64_t>(windows.size()); }
};
// Outermost first; axes that are not there have one element.
using PoolAxes = std::array<PoolAxis, 3>;

PoolAxis axis_of(const PoolAttrs& attrs, std::size_t axis, std::int64_t size, std::int64_t count) {
  const std::int64_t step = attrs.dilation[axis], kernel = attrs.kernel[axis];
  PoolAxis pool{size, step, {}};
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = i * attrs.stride[axis] - attrs.padding_low[axis], last = first + kernel * step;
    const auto elements_before = [&](std::int64_t end) {
      return std::clamp((end - first + step - 1) / step, std::int64_t{0}, kernel);
    };
    const std::int64_t outside = elements_before(0), inside = elements_before(size) - outside;
    const std::int64_t padded = elements_before(size + attrs.padding_high[axis]);
    pool.windows.push_back({first + outside * step, std::min(last, size), attrs.count_include_pad ? padded : inside});
  }
  return pool;
}

PoolAxis axis_of(const AdaptivePoolAttrs&, std::size_t, std::int64_t size, std::int64_t count) {
  PoolAxis pool{size, 1, {}};
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = i * size / count, end = ((i + 1) * size + count - 1) / count;
    pool.windows.push_back({begin, end, end - begin});
  }
  return pool;
}

struct PoolPlan {
  PoolAxes axes;
  std::int64_t images = 0, channels = 0;
  std::int64_t parts = 1;  // of the channels

  std::int64_t lines() const { return images * axes[0].count() * axes[1].count(); }  // of pixels of the result
  std::int64_t line_pixels() const { return axes[2].count(); }
};

template <class Attrs>
PoolPlan make_plan(const GraphNode& node, const Type& x, int workers) {
  PoolPlan plan;
  const Shape& result = node.type().shape;
  const std::size_t spatial = result.size() - 2, missing = plan.axes.size() - spatial;
  for (std::size_t axis = 0; axis < spatial; ++axis)
    plan.axes[missing + axis] = axis_of(node.as<Attrs>(), axis, x.shape[axis + 1], result[axis + 1]);
  plan.images = x.shape[0];
  plan.channels = x.shape.back();
  if (workers > 1 && plan.lines() < 4 * workers)
    plan.parts = std::max<std::int64_t>(1, (plan.channels + part_channels - 1) / part_channels);
  return plan;
}

// Calls visit(y pixel, x pixels, elements that a mean counts) for the pixels of a line of the result; pixels are
// counted through all images.
template <class Visit>
void for_each_pixel(const PoolPlan& plan, std::int64_t line, std::vector<std::int64_t>& pixels, Visit visit) {
  const auto& [outer, middle, inner] = plan.axes;
  const Window &w1 = middle.windows[static_cast<std::size_t>(line % middle.count())],
               &w0 = outer.windows[static_cast<std::size_t>(line / middle.count() % outer.count())];
  const std::int64_t image = line / (middle.count() * outer.count());
  for (std::int64_t j = 0; j < inner.count(); ++j) {
    const Window& w2 = inner.windows[static_cast<std::size_t>(j)];
    pixels.clear();
    for (std::int64_t p0 = w0.begin; p0 < w0.end; p0 += outer.step)
      for (std::int64_t p1 = w1.begin; p1 < w1.end; p1 += middle.step)
        for (std::int64_t p2 = w2.begin; p2 < w2.end; p2 += inner.step)
          pixels.push_back(((image * outer.size + p0) * middle.size + p1) * inner.size + p2);
    visit(line * inner.count() + j, pixels, w0.counted * w1.counted * w2.counted);
  }
}

using PlanRef = std::shared_ptr<const PoolPlan>;

Range channels_of(const PoolPlan& plan, std::int64_t part) {
  return {plan.channels * part / plan.parts, plan.channels * (part + 1) / plan.parts};
}

Run pool_in_f32(const PlanRef& plan, const View& x, const View& y, Pool pool) {
  return [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    std::vector<std::int64_t> pixels;
    std::vector<const float*> addresses;
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const Range channels = channels_of(*plan, unit % plan->parts);
      for_each_pixel(*plan, unit / plan->parts, pixels, [&](std::int64_t at, const auto&, std::int64_t counted) {
        addresses.clear();
        for (const std::int64_t pixel : pixels) addresses.push_back(memory.as<const float>(x) + pixel * plan->channels);
        pool({addresses.data(), static_cast<std::int64_t>(addresses.size()), static_cast<float>(counted),
              channels.begin, channels.end, memory.as<float>(y) + at * plan->channels});
      });
    }
  };
}

// Of the channels of a unit: prepare(y, begin, end), then take(y, x, begin, end) for each pixel of a window, then
// finish(y, begin, end, elements that a mean counts).
template <class T, class Prepare, class Take, class Finish>
Run pool_plain(const PlanRef& plan, const View& x, const View& y, Prepare prepare, Take take, Finish finish) {
  return [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    std::vector<std::int64_t> pixels;
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const Range channels = channels_of(*plan, unit % plan->parts);
      for_each_pixel(*plan, unit / plan->parts, pixels, [&](std::int64_t at, const auto&, std::int64_t counted) {
        T* result = memory.as<T>(y) + at * plan->channels;
        prepare(result, channels);
        for (const std::int64_t pixel : pixels) take(result, memory.as<const T>(x) + pixel * plan->channels, channels);
        finish(result, channels, counted);
      });
    }
  };
}

// NaN wins.
template <class T>
Run maxima(const PlanRef& plan, const View& x, const View& y) {
  using Limits = std::numeric_limits<T>;
  static constexpr T lowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  return pool_plain<T>(
      plan, x, y, [](T* best, const Range& channels) { std::fill(best + channels.begin, best + channels.end, lowest); },
      [](T* best, const T* values, const Range& channels) {
        for (std::int64_t c = channels.begin; c < channels.end; ++c)
          best[c] = values[c] > best[c] || values[c] != values[c] ? values[c] : best[c];
      },
      [](T*, const Range&, std::int64_t) {});
}

Run means_of_f64(const PlanRef& plan, const View& x, const View& y) {
  return pool_plain<double>(
      plan, x, y,
      [](double* total, const Range& channels) { std::fill(total + channels.begin, total + channels.end, 0.0); },
      [](double* total, const double* values, const Range& channels) {
        for (std::int64_t c = channels.begin; c < channels.end; ++c) total[c] += values[c];
      },
      [](double* total, const Range& channels, std::int64_t counted) {
        for (std::int64_t c = channels.begin; c < channels.end; ++c) total[c] /= static_cast<double>(counted);
      });
}

// Of what is not computed in f32.
Run maxima_of(const PlanRef& plan, const View& x, const View& y) {
  switch (x.dtype) {
    case DType::i8:
      return maxima<std::int8_t>(plan, x, y);
    case DType::u8:
      return maxima<std::uint8_t>(plan, x, y);
    case DType::i16:
      return maxima<std::int16_t>(plan, x, y);
    case DType::u16:
      return maxima<std::uint16_t>(plan, x, y);
    case DType::i32:
      return maxima<std::int32_t>(plan, x, y);
    case DType::u32:
      return maxima<std::uint32_t>(plan, x, y);
    case DType::i64:
      return maxima<std::int64_t>(plan, x, y);
    case DType::u64:
      return maxima<std::uint64_t>(plan, x, y);
    case DType::f64:
      return maxima<double>(plan, x, y);
    default:
      return {};
  }
}

template <class Attrs, bool is_maximum>
void lower_pool(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View result = builder.result_view(id);
  if (result.elements() == 0) return;
  const bool in_f32 = is_real(result.dtype) && result.dtype != DType::f64;
  const View x = in_f32 ? converted_input(builder, id, 0, DType::f32) : contiguous_input(builder, id, 0);
  const View y = in_f32 && result.dtype != DType::f32
                     ? builder.new_array({DType::f32, result.shape}, fmt::format("%{} f32", id))
                     : result;
  const auto plan =
      std::make_shared<const PoolPlan>(make_plan<Attrs>(current, builder.type(current.inputs[0]), builder.workers()));
  const WindowKernels& kernels = find_window_kernels(builder.tools().isa);
  const KernelUse kernel = in_f32 ? KernelUse{is_maximum ? kernels.max_pool_name : kernels.mean_pool_name, kernels.isa}
                                  : KernelUse{is_maximum ? "max_pool" : "mean_pool"};
  Step& step = builder.add_step(id, current.name(), kernel, {x.buffer}, {y.buffer});
  step.units = plan->lines() * plan->parts;
  step.split = worth_splitting(step.bytes, step.operations);
  step.run = in_f32       ? pool_in_f32(plan, x, y, is_maximum ? kernels.max_pool : kernels.mean_pool)
             : is_maximum ? maxima_of(plan, x, y)
                          : means_of_f64(plan, x, y);
  if (!step.run) builder.reject(id, "no kernel takes the maxima of this dtype");
  if (plan->parts == 1) builder.divide_by_rows(step, {y}, {}, plan->lines() * plan->line_pixels(), plan->line_pixels());
  if (y.dtype != result.dtype) lower_copy(builder, id, y, result);
}

}  // namespace

void lower_max_pool(ProgramBuilder& builder, std::int32_t id) { lower_pool<PoolAttrs, true>(builder, id); }
void lower_mean_pool(ProgramBuilder& builder, std::int32_t id) { lower_pool<PoolAttrs, false>(builder, id); }
void lower_adaptive_max_pool(ProgramBuilder& builder, std::int32_t id) {
  lower_pool<AdaptivePoolAttrs, true>(builder, id);
}
void lower_adaptive_mean_pool(ProgramBuilder& builder, std::int32_t id) {
  lower_pool<AdaptivePoolAttrs, false>(builder, id);
}

}  // namespace lazuli::cpu
