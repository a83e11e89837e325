// SPDX-License-Identifier: MIT
// Convolution by its definition: every element of the kernel at every position.
#include <lazuli/backends/reference/kernels.h>

namespace lazuli::reference {

namespace {

// Spatial axes only.
struct Window {
  const ConvolutionAttrs& attrs;
  Shape x, kernel, result;

  // The element of x that element `tap` of the kernel meets at `position` of the result; -1: a zero.
  std::int64_t element(const Dims& position, const Dims& tap) const {
    std::int64_t element = 0;
    for (std::size_t axis = 0; axis < x.size(); ++axis) {
      const std::int64_t element_of_kernel = attrs.flip ? kernel[axis] - 1 - tap[axis] : tap[axis];
      const std::int64_t dilated = position[axis] * attrs.stride[axis] - attrs.padding_low[axis] +
                                   element_of_kernel * attrs.kernel_dilation[axis];
      if (dilated < 0 || dilated % attrs.input_dilation[axis] != 0) return -1;
      const std::int64_t at = dilated / attrs.input_dilation[axis];
      if (at >= x[axis]) return -1;
      element = element * x[axis] + at;
    }
    return element;
  }
};

Shape spatial(const Shape& shape) { return {shape.begin() + 1, shape.end() - 1}; }

// The index of row-major element `position`.
Dims index_of(std::int64_t position, const Shape& shape) {
  Dims index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0; position /= shape[axis]) index[axis] = position % shape[axis];
  return index;
}

}  // namespace

void convolution(const Call& call) {
  const auto& attrs = call.as<ConvolutionAttrs>();
  const Tensor &result = call.result(), &operand = call.operand(0);
  if (result.elements() == 0) return;
  const Window window{attrs, spatial(operand.shape()), spatial(call.operand(1).shape()), spatial(result.shape())};
  const std::vector<double> x = real_values(operand), weight = real_values(call.operand(1));
  const std::int64_t channels = operand.shape().back(), outputs = result.shape().back();
  const std::int64_t group_channels = channels / attrs.groups, group_outputs = outputs / attrs.groups;
  const std::int64_t pixels = element_count(window.x), taps = element_count(window.kernel),
                     positions = element_count(window.result);
  for (std::int64_t row = 0; row < result.size(0) * positions; ++row) {
    std::vector<double> sums(static_cast<std::size_t>(outputs), 0.0);
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const std::int64_t element =
          window.element(index_of(row % positions, window.result), index_of(tap, window.kernel));
      if (element < 0) continue;
      for (std::int64_t output = 0; output < outputs; ++output) {
        const double* values =
            x.data() + (row / positions * pixels + element) * channels + output / group_outputs * group_channels;
        const double* weights = weight.data() + (output * taps + tap) * group_channels;
        for (std::int64_t channel = 0; channel < group_channels; ++channel)
          sums[static_cast<std::size_t>(output)] += values[channel] * weights[channel];
      }
    }
    for (std::int64_t output = 0; output < outputs; ++output)
      result.set_real(row * outputs + output, sums[static_cast<std::size_t>(output)]);
  }
}

}  // namespace lazuli::reference
