// SPDX-License-Identifier: MIT
// The matmul kernels in plain C++: every host runs them, and the other levels give their bits.
#include <lazuli/backends/cpu/kernels/formats/packed_dispatch.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>

#include <algorithm>
#include <cmath>

namespace lazuli {
namespace {

constexpr int tile_rows = 8;

// Formats of equal planes are one type, and share their code.
template <packed::Planes planes_>
struct Packed {
  static constexpr packed::Planes planes = planes_;
};

// One block of a group, decoded for all 16 rows.
struct DecodedBlock {
  std::int16_t values[packed_group_rows][packed_block_columns];
  packed::BlockScale scales[packed_group_rows];
};

template <class Format>
void decode(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t block, DecodedBlock& out) {
  for (int lane = 0; lane < packed_group_rows; ++lane) {
    const packed::BlockSource source = packed::block_source<Format>(weight, group, block, lane);
    int values[packed_block_columns];
    packed::read_values<Format::planes>(source, values);
    for (int column = 0; column < packed_block_columns; ++column) {
      out.values[lane][column] = static_cast<std::int16_t>(values[column]);
    }
    out.scales[lane] = packed::read_scale<Format::planes>(source);
  }
}

std::int32_t dot16(const std::int16_t* a, const std::int8_t* b) {
  std::int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += a[i] * b[i];
  return sum;
}

template <class Format>
float add_block(float sum, const std::int16_t* w, const packed::BlockScale& scale, const std::int8_t* x, float x_scale,
                const std::int16_t* half_sums) {
  const std::int32_t first = dot16(w, x), second = dot16(w + 16, x + 16);
  if constexpr (Format::planes.halves == packed::Halves::separate) {
    sum = std::fma(scale.scale[0] * x_scale, static_cast<float>(first), sum);
    return std::fma(scale.scale[1] * x_scale, static_cast<float>(second), sum);
  }
  sum = std::fma(scale.scale[0] * x_scale, static_cast<float>(first + second), sum);
  if constexpr (Format::planes.minimums) {
    sum = std::fma(scale.minimum, x_scale * static_cast<float>(half_sums[0] + half_sums[1]), sum);
  }
  return sum;
}

template <class Format>
void multiply(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
              std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y, std::int64_t y_stride) {
  DecodedBlock decoded;
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    const std::uint8_t* group = weight.data + index * weight.group_bytes;
    const std::int64_t first_output = index * packed_group_rows;
    const std::int64_t outputs = std::min<std::int64_t>(packed_group_rows, weight.rows - first_output);
    for (std::int64_t first_row = row_begin; first_row < row_end; first_row += tile_rows) {
      const std::int64_t rows = std::min<std::int64_t>(tile_rows, row_end - first_row);
      float sums[tile_rows][packed_group_rows] = {};
      for (std::int64_t block = 0; block < weight.cols / packed_block_columns; ++block) {
        decode<Format>(weight, group, block, decoded);
        for (std::int64_t tile_row = 0; tile_row < rows; ++tile_row) {
          const std::int64_t row = first_row + tile_row;
          for (int lane = 0; lane < packed_group_rows; ++lane) {
            sums[tile_row][lane] = add_block<Format>(sums[tile_row][lane], decoded.values[lane], decoded.scales[lane],
                                                     x.values + row * x.value_stride + block * packed_block_columns,
                                                     x.scales[row * x.scale_stride + block],
                                                     x.half_sums + row * x.half_sum_stride + 2 * block);
          }
        }
      }
      for (std::int64_t tile_row = 0; tile_row < rows; ++tile_row) {
        std::copy_n(sums[tile_row], outputs, y + (first_row + tile_row) * y_stride + first_output);
      }
    }
  }
}

// Weight `lane` of a column of the group, whose 16 lie side by side.
struct F32 {
  static float load(const PackedWeightView&, const std::uint8_t* group, std::int64_t column, int lane) {
    return packed::load_f32(group + 4 * (column * packed_group_rows + lane));
  }
};

struct F16 {
  static float load(const PackedWeightView&, const std::uint8_t* group, std::int64_t column, int lane) {
    return packed::load_f16(group + 2 * column * packed_group_rows, lane);
  }
};

struct BF16 {
  static float load(const PackedWeightView&, const std::uint8_t* group, std::int64_t column, int lane) {
    const std::uint8_t* data = group + 2 * (column * packed_group_rows + lane);
    return bf16_to_f32(static_cast<std::uint16_t>(data[0] | data[1] << 8));
  }
};

struct Mxfp8 {
  static float load(const PackedWeightView& weight, const std::uint8_t* group, std::int64_t column, int lane) {
    const std::int64_t entry = packed::scale_entry<Packed<packed::mxfp8_planes>>(weight, column / packed_block_columns);
    return packed::e4m3_as_f16(group[column * packed_group_rows + lane]) * packed::f32_exponent(group[entry + lane]);
  }
};

// Four sums an output, one for each column index modulo 4.
template <class Type>
void multiply_real(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin,
                   std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                   std::int64_t y_stride) {
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    const std::uint8_t* group = weight.data + index * weight.group_bytes;
    const std::int64_t first_output = index * packed_group_rows;
    const std::int64_t outputs = std::min<std::int64_t>(packed_group_rows, weight.rows - first_output);
    for (std::int64_t row = row_begin; row < row_end; ++row) {
      float sums[4][packed_group_rows] = {};
      for (std::int64_t column = 0; column < weight.cols; ++column) {
        const float value = x.values[row * x.stride + column];
        float* sum = sums[column % 4];
        for (int lane = 0; lane < packed_group_rows; ++lane) {
          sum[lane] = std::fma(Type::load(weight, group, column, lane), value, sum[lane]);
        }
      }
      for (std::int64_t lane = 0; lane < outputs; ++lane) {
        y[row * y_stride + first_output + lane] = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
      }
    }
  }
}

struct F32Word {
  using Word = float;
  static float value(float word) { return word; }
};

struct F16Word {
  using Word = std::uint16_t;
  static float value(std::uint16_t word) { return f16_to_f32(word); }
};

struct BF16Word {
  using Word = std::uint16_t;
  static float value(std::uint16_t word) { return bf16_to_f32(word); }
};

template <class Type>
void multiply_strided(const StridedWeightView& weight, const RealRowsView& x, std::int64_t output_begin,
                      std::int64_t output_end, float* y, std::int64_t y_stride) {
  for (std::int64_t row = 0; row < x.rows; ++row) {
    for (std::int64_t output = output_begin; output < output_end; ++output) {
      const auto* weights = static_cast<const typename Type::Word*>(weight.data) + output * weight.output_stride;
      float sums[4] = {};
      for (std::int64_t column = 0; column < weight.cols; ++column) {
        float& sum = sums[column % 4];
        sum = std::fma(Type::value(weights[column * weight.column_stride]), x.values[row * x.stride + column], sum);
      }
      y[row * y_stride + output] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
  }
}

}  // namespace

#define LAZULI_DEFINE(function, type_name, Template, Rows)                                                         \
  void linear_##type_name##_scalar(const PackedWeightView& weight, const Rows& x, std::int64_t group_begin,        \
                                   std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y, \
                                   std::int64_t y_stride) {                                                        \
    function<Template>(weight, x, group_begin, group_end, row_begin, row_end, y, y_stride);                        \
  }
#define LAZULI_PACKED(type, codes, scales, offset) \
  LAZULI_DEFINE(multiply, type, Packed<packed::type##_planes>, QuantisedRowsView)
#include <lazuli/backends/cpu/kernels/formats/packed_formats.def>
LAZULI_DEFINE(multiply_real, f32, F32, RealRowsView)
LAZULI_DEFINE(multiply_real, f16, F16, RealRowsView)
LAZULI_DEFINE(multiply_real, bf16, BF16, RealRowsView)
LAZULI_DEFINE(multiply_real, mxfp8, Mxfp8, RealRowsView)
#undef LAZULI_DEFINE

#define LAZULI_DEFINE(type, Type)                                                                   \
  void linear_strided_##type##_scalar(const StridedWeightView& weight, const RealRowsView& x,       \
                                      std::int64_t output_begin, std::int64_t output_end, float* y, \
                                      std::int64_t y_stride) {                                      \
    multiply_strided<Type>(weight, x, output_begin, output_end, y, y_stride);                       \
  }
LAZULI_DEFINE(f32, F32Word)
LAZULI_DEFINE(f16, F16Word)
LAZULI_DEFINE(bf16, BF16Word)
#undef LAZULI_DEFINE

}  // namespace lazuli
