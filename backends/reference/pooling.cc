// SPDX-License-Identifier: MIT
// Pooling and interpolation: what happens to the spatial axes of each channel by itself.
#include <lazuli/backends/reference/kernels.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace lazuli::reference {

namespace {

// Along one axis: the elements that belong to a position of the result, and how many a mean counts.
struct Window {
  std::vector<std::int64_t> elements;
  std::int64_t counted = 0;
};
using WindowOf = std::function<Window(std::size_t axis, std::int64_t position)>;

WindowOf windows(const PoolAttrs& attrs, const Shape& x) {
  return [&attrs, &x](std::size_t axis, std::int64_t position) {
    Window window;
    const std::int64_t size = x[axis + 1];
    for (std::int64_t tap = 0; tap < attrs.kernel[axis]; ++tap) {
      const std::int64_t element = position * attrs.stride[axis] - attrs.padding_low[axis] + tap * attrs.dilation[axis];
      if (element >= 0 && element < size) window.elements.push_back(element);
      window.counted += element < size + attrs.padding_high[axis];
    }
    if (!attrs.count_include_pad) window.counted = static_cast<std::int64_t>(window.elements.size());
    return window;
  };
}

WindowOf windows(const AdaptivePoolAttrs& attrs, const Shape& x) {
  return [&attrs, &x](std::size_t axis, std::int64_t position) {
    Window window;
    const std::int64_t size = x[axis + 1], count = attrs.size[axis];
    const std::int64_t end = ((position + 1) * size + count - 1) / count;
    for (std::int64_t element = position * size / count; element < end; ++element) window.elements.push_back(element);
    window.counted = static_cast<std::int64_t>(window.elements.size());
    return window;
  };
}

// Calls visit(result element, the operand's elements, count) for every element of the result.
template <class Visit>
void for_each_window(const Call& call, const WindowOf& window_of, Visit visit) {
  const Shape &from = call.operand(0).shape(), &to = call.result().shape();
  for_each_index<0>(to, {}, [&](std::int64_t result, const auto&) {
    std::int64_t rest = result / to.back(), counted = 1, inner = 1;
    std::vector<std::int64_t> pixels = {0};
    for (std::size_t axis = to.size() - 2; axis >= 1; --axis) {
      const Window window = window_of(axis - 1, rest % to[axis]);
      rest /= to[axis];
      counted *= window.counted;
      std::vector<std::int64_t> wider;
      for (const std::int64_t element : window.elements)
        for (const std::int64_t pixel : pixels) wider.push_back(element * inner + pixel);
      pixels = std::move(wider);
      inner *= from[axis];
    }
    for (std::int64_t& pixel : pixels) pixel = (rest * inner + pixel) * from.back() + result % to.back();
    visit(result, pixels, counted);
  });
}

void maxima(const Call& call, const WindowOf& window_of) {
  const Tensor &x = call.operand(0), &result = call.result();
  const std::int64_t bits = 8 * x.element_bytes();
  const bool is_unsigned = is_unsigned_integer(x.dtype());
  const std::int64_t lowest = is_unsigned ? 0 : -1 - static_cast<std::int64_t>((std::uint64_t{1} << (bits - 1)) - 1);
  const auto is_above = [](auto a, auto b) { return a > b; };
  for_each_window(call, window_of, [&](std::int64_t at, const std::vector<std::int64_t>& elements, std::int64_t) {
    if (is_real(x.dtype())) {
      double best = -std::numeric_limits<double>::infinity();
      for (const std::int64_t element : elements)
        if (const double value = x.real(element); value > best || std::isnan(value)) best = value;
      result.set_real(at, best);
    } else {
      std::int64_t best = lowest;
      for (const std::int64_t element : elements)
        if (const std::int64_t value = x.integer(element); as_stored(x.dtype(), is_above, value, best)) best = value;
      result.set_integer(at, best);
    }
  });
}

void means(const Call& call, const WindowOf& window_of) {
  for_each_window(call, window_of, [&](std::int64_t at, const std::vector<std::int64_t>& elements, std::int64_t count) {
    double total = 0;
    for (const std::int64_t element : elements) total += call.operand(0).real(element);
    call.result().set_real(at, total / static_cast<double>(count));
  });
}

// The elements that position i takes along an axis, and their weights.
struct Weighted {
  std::int64_t element;
  double weight;
};
std::vector<Weighted> weighted(const InterpolateAttrs& attrs, std::size_t axis, std::int64_t i, std::int64_t size) {
  const auto clamped = [&](double at) {
    return static_cast<std::int64_t>(std::clamp(at, 0.0, static_cast<double>(size - 1)));
  };
  const double position =
      static_cast<double>(attrs.slope[axis] * i + attrs.offset[axis]) / static_cast<double>(attrs.denominator[axis]);
  const double before = std::floor(position), t = position - before;
  if (attrs.order == 0) return {{clamped(before), 1.0}};
  if (attrs.order == 1) return {{clamped(before), 1 - t}, {clamped(before + 1), t}};
  std::vector<Weighted> all;
  constexpr double a = -0.75;
  for (int step = -1; step <= 2; ++step) {
    const double d = std::fabs(t - step);
    const double weight = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    all.push_back({clamped(before + step), weight});
  }
  return all;
}

}  // namespace

void max_pool(const Call& call) { maxima(call, windows(call.as<PoolAttrs>(), call.operand(0).shape())); }
void mean_pool(const Call& call) { means(call, windows(call.as<PoolAttrs>(), call.operand(0).shape())); }
void adaptive_max_pool(const Call& call) {
  maxima(call, windows(call.as<AdaptivePoolAttrs>(), call.operand(0).shape()));
}
void adaptive_mean_pool(const Call& call) {
  means(call, windows(call.as<AdaptivePoolAttrs>(), call.operand(0).shape()));
}

void interpolate(const Call& call) {
  const auto& attrs = call.as<InterpolateAttrs>();
  const Tensor &x = call.operand(0), &result = call.result();
  const Shape &from = x.shape(), &to = result.shape();
  for_each_index<0>(to, {}, [&](std::int64_t at, const auto&) {
    std::int64_t rest = at / to.back(), inner = 1;
    std::vector<Weighted> pixels = {{0, 1.0}};
    for (std::size_t axis = to.size() - 2; axis >= 1; --axis) {
      std::vector<Weighted> wider;
      for (const Weighted& along : weighted(attrs, axis - 1, rest % to[axis], from[axis]))
        for (const Weighted& pixel : pixels)
          wider.push_back({along.element * inner + pixel.element, along.weight * pixel.weight});
      pixels = std::move(wider);
      rest /= to[axis];
      inner *= from[axis];
    }
    const auto element = [&](const Weighted& pixel) {
      return (rest * inner + pixel.element) * from.back() + at % to.back();
    };
    if (attrs.order == 0) {
      std::copy_n(x.at(element(pixels[0])), x.element_bytes(), result.at(at));
      return;
    }
    double total = 0;
    for (const Weighted& pixel : pixels) total += pixel.weight * x.real(element(pixel));
    result.set_real(at, total);
  });
}

}  // namespace lazuli::reference
