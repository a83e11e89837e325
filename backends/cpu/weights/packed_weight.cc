// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/formats/packed_dispatch.h>
#include <lazuli/backends/cpu/weights/pack_strided.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/round_up.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace lazuli {
namespace {

constexpr std::int64_t line_bytes = 64;

bool is_plain(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

PackedWeightView layout(DType dtype, std::int64_t rows, std::int64_t cols, ScaleForm scales) {
  if (rows < 0 || !can_pack(dtype, cols)) {
    fail(
        "packed weight: no packed form for {}[{},{}]; expected f32, f16, bf16 or a block-quantised type with whole "
        "blocks",
        to_string(dtype), rows, cols);
  }
  PackedWeightView view{nullptr, rows, cols, 0, 0, 0, 0, 1, scales.factor};
  if (is_plain(dtype)) {
    view.group_bytes = round_up(byte_size(dtype, cols) * packed_group_rows, line_bytes);
    return view;
  }
  packed::visit_format(dtype, [&](auto format) {
    constexpr packed::Planes planes = decltype(format)::planes;
    const std::int64_t blocks = cols / packed_block_columns;
    if constexpr (planes.wide_scales) {
      constexpr int shared = std::max(1, decltype(format)::columns / packed_block_columns);
      view.scale_shift = std::countr_zero(static_cast<unsigned>(shared));
      view.scale_width = scales.width;
    }
    view.scales_offset = blocks * planes.quant_bytes;
    view.super_offset = packed::scale_entry<decltype(format)>(view, blocks);
    const std::int64_t super_blocks = (cols + packed_super_columns - 1) / packed_super_columns;
    view.group_bytes = round_up(view.super_offset + super_blocks * planes.super_bytes, line_bytes);
  });
  return view;
}

template <class Format>
void pack_row(const PackedWeightView& weight, const std::uint8_t* source, std::uint8_t* group, int lane) {
  // A file block has several blocks, or a block several file blocks: parts of each other either way.
  constexpr int parts =
      std::max(Format::columns, packed_block_columns) / std::min(Format::columns, packed_block_columns);
  for (std::int64_t block = 0; block < weight.cols / packed_block_columns; ++block) {
    const packed::BlockTarget target{weight, group + block * Format::planes.quant_bytes,
                                     group + packed::scale_entry<Format>(weight, block),
                                     group + packed::super_entry<Format>(weight, block), lane};
    if constexpr (Format::columns >= packed_block_columns) {
      Format::pack(source + block / parts * Format::file_bytes, static_cast<int>(block % parts), target);
    } else {
      for (int part = 0; part < parts; ++part)
        Format::pack(source + (block * parts + part) * Format::file_bytes, part, target);
    }
  }
}

// Plain types: column after column, the 16 rows of each side by side.
void pack_plain_group(DType dtype, const void* source, std::int64_t cols, std::int64_t valid_rows,
                      std::uint8_t* group) {
  pack_strided(dtype, {source, valid_rows, cols, cols, 1}, group, 0, 1);
}

void unpack_plain_row(DType dtype, const std::uint8_t* group, std::int64_t cols, int lane, float* out) {
  for (std::int64_t column = 0; column < cols; ++column) {
    const std::int64_t index = column * packed_group_rows + lane;
    if (dtype == DType::f32) {
      std::memcpy(out + column, group + index * 4, 4);
    } else {
      std::uint16_t bits;
      std::memcpy(&bits, group + index * 2, 2);
      out[column] = dtype == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    }
  }
}

template <class Format>
void unpack_blocks(const PackedWeightView& weight, const std::uint8_t* group, int lane, float* out) {
  for (std::int64_t block = 0; block < weight.cols / packed_block_columns; ++block) {
    const packed::BlockSource source = packed::block_source<Format>(weight, group, block, lane);
    int values[packed_block_columns];
    packed::read_values<Format::planes>(source, values);
    const packed::BlockScale scale = packed::read_scale<Format::planes>(source);
    float* block_out = out + block * packed_block_columns;
    for (int half = 0; half < 2; ++half) {
      for (int column = 16 * half; column < 16 * half + 16; ++column) {
        const float product = scale.scale[half] * static_cast<float>(values[column]);
        block_out[column] = Format::planes.minimums ? product + scale.minimum : product;
      }
    }
  }
}

}  // namespace

bool can_pack(DType dtype, std::int64_t cols) {
  if (cols < 0) return false;
  if (is_plain(dtype)) return true;
  const bool has_format = packed::visit_format(dtype, [](auto) {});
  return has_format && cols % std::max(info(dtype).block_elements, packed_block_columns) == 0;
}

DType packed_dtype(DType dtype, std::int64_t cols) { return can_pack(dtype, cols) ? dtype : DType::f32; }

std::size_t packed_bytes(DType dtype, std::int64_t rows, std::int64_t cols, ScaleForm scales) {
  const PackedWeightView view = layout(dtype, rows, cols, scales);
  return static_cast<std::size_t>(round_up(rows, packed_group_rows) / packed_group_rows * view.group_bytes);
}

PackedWeight allocate_packed(DType dtype, std::int64_t rows, std::int64_t cols, ScaleForm scales,
                             const AllocatorRef& allocator) {
  return {dtype, rows, cols, scales, Buffer::allocate(packed_bytes(dtype, rows, cols, scales), allocator)};
}

void pack_rows(const std::byte* source, PackedWeight& weight, std::int64_t group_begin, std::int64_t group_end) {
  const PackedWeightView target = view(weight);
  const std::int64_t row_bytes = byte_size(weight.source, weight.cols);
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    std::uint8_t* group = weight.data->as<std::uint8_t>() + index * target.group_bytes;
    const std::int64_t first_row = index * packed_group_rows;
    const std::int64_t valid_rows = std::min<std::int64_t>(packed_group_rows, weight.rows - first_row);
    const auto* rows = reinterpret_cast<const std::uint8_t*>(source) + first_row * row_bytes;
    std::memset(group, 0, static_cast<std::size_t>(target.group_bytes));
    if (is_plain(weight.source)) {
      pack_plain_group(weight.source, rows, weight.cols, valid_rows, group);
    } else {
      packed::visit_format(weight.source, [&](auto format) {
        for (int lane = 0; lane < valid_rows; ++lane) {
          pack_row<decltype(format)>(target, rows + lane * row_bytes, group, lane);
        }
      });
    }
  }
}

void pack_dequantised_rows(DType from, const std::byte* source, PackedWeight& weight, std::int64_t group_begin,
                           std::int64_t group_end) {
  const PackedWeightView target = view(weight);
  std::vector<float> values(static_cast<std::size_t>(packed_group_rows * weight.cols));
  for (std::int64_t index = group_begin; index < group_end; ++index) {
    std::uint8_t* group = weight.data->as<std::uint8_t>() + index * target.group_bytes;
    const std::int64_t first_row = index * packed_group_rows;
    const std::int64_t valid_rows = std::min<std::int64_t>(packed_group_rows, weight.rows - first_row);
    std::memset(group, 0, static_cast<std::size_t>(target.group_bytes));
    dequantise(from, source + byte_size(from, first_row * weight.cols), valid_rows * weight.cols, values.data());
    pack_plain_group(DType::f32, values.data(), weight.cols, valid_rows, group);
  }
}

void unpack_rows(const PackedWeight& weight, std::int64_t row_begin, std::int64_t row_end, float* out) {
  const PackedWeightView source = view(weight);
  for (std::int64_t row = row_begin; row < row_end; ++row, out += weight.cols) {
    const std::uint8_t* group = source.data + row / packed_group_rows * source.group_bytes;
    const int lane = static_cast<int>(row % packed_group_rows);
    if (is_plain(weight.source)) {
      unpack_plain_row(weight.source, group, weight.cols, lane, out);
    } else {
      packed::visit_format(weight.source,
                           [&](auto format) { unpack_blocks<decltype(format)>(source, group, lane, out); });
    }
  }
}

PackedWeightView view(const PackedWeight& weight) {
  PackedWeightView view = layout(weight.source, weight.rows, weight.cols, weight.scales);
  view.data = weight.data->as<std::uint8_t>();
  return view;
}

PackedWeightView packed_view(DType dtype, std::int64_t rows, std::int64_t cols, const void* memory) {
  PackedWeightView view = layout(dtype, rows, cols, {});
  view.data = static_cast<const std::uint8_t*>(memory);
  return view;
}

QuantisedRowsView quantised_rows(void* memory, std::int64_t rows, std::int64_t cols) {
  QuantisedRowsView view{};
  view.rows = rows;
  view.cols = cols;
  view.value_stride = round_up(cols, line_bytes);
  view.scale_stride = round_up(cols / packed_block_columns, line_bytes / 4);
  view.half_sum_stride = round_up(cols / 16, line_bytes / 2);
  auto* bytes = static_cast<std::uint8_t*>(memory);
  view.values = reinterpret_cast<std::int8_t*>(bytes);
  bytes += rows * view.value_stride;
  view.scales = reinterpret_cast<float*>(bytes);
  bytes += rows * view.scale_stride * 4;
  view.half_sums = reinterpret_cast<std::int16_t*>(bytes);
  return view;
}

std::size_t quantised_rows_bytes(std::int64_t rows, std::int64_t cols) {
  const QuantisedRowsView view = quantised_rows(nullptr, rows, cols);
  return static_cast<std::size_t>(rows * (view.value_stride + view.scale_stride * 4 + view.half_sum_stride * 2));
}

namespace {

constexpr std::int64_t tile_height = 16, tile_columns = 32, tile_bytes = 1024;

std::int64_t tiles_down(std::int64_t rows) { return (rows + 2 * tile_height - 1) / (2 * tile_height) * 2; }
std::int64_t tiles_across(std::int64_t cols) { return (cols + tile_columns - 1) / tile_columns; }

}  // namespace

std::size_t tiled_rows_bytes(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(tiles_down(rows) * tiles_across(cols) * tile_bytes);
}

TiledRowsView tiled_rows(void* memory, std::int64_t rows, std::int64_t cols) {
  return {static_cast<std::uint8_t*>(memory), rows, cols, tiles_across(cols)};
}

}  // namespace lazuli
