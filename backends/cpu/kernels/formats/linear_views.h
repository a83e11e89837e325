// SPDX-License-Identifier: MIT
// What the matmul kernels see: plain structs over memory somebody else owns.
//
// Instruction-set units include this header, so it holds no inline code and no std:: types: the linker keeps one copy
// of an inline function, and that copy could be the one compiled for a CPU the host is not.
#pragma once

#include <cstdint>

namespace lazuli {

inline constexpr int packed_group_rows = 16;      // weight rows interleaved into one group
inline constexpr int packed_block_columns = 32;   // columns that share one activation scale
inline constexpr int packed_super_columns = 256;  // columns that share the f16 scales of the k formats

// Packed weights W[rows, cols]. A group of 16 rows is `group_bytes` long (a multiple of 64) and holds three planes,
// each ordered by column: quants at 0, block scales at `scales_offset`, super-block scales at `super_offset`.
// packed_planes.h describes them. Rows past the end of the last group are zero.
//
// The last three concern types whose planes say `wide_scales`. 2^scale_shift blocks share one entry of the scale plane,
// an entry is 32 scales of `scale_width` bytes, and a scale of one byte is multiplied by `factor`.
struct PackedWeightView {
  const std::uint8_t* data;  // 64-byte aligned
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t group_bytes;
  std::int64_t scales_offset;
  std::int64_t super_offset;
  int scale_shift;
  int scale_width;
  float factor;
};

// Activations X[rows, cols] in blocks of 32 columns: x = scale * value. Row strides are in elements, of at least the
// row's length rounded up to 64 bytes; the padding is readable and its contents do not matter.
struct QuantisedRowsView {
  std::int8_t* values;      // [rows, cols], in -127..127
  float* scales;            // [rows, cols / 32]
  std::int16_t* half_sums;  // [rows, cols / 16]: sums of 16 values, for weights with an offset or a minimum
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t value_stride;
  std::int64_t scale_stride;
  std::int64_t half_sum_stride;
};

// Activations X[rows, cols] in f32, for weights of the plain types and mxfp8.
struct RealRowsView {
  const float* values;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;  // elements
};

// A right operand W[outputs, cols] of a plain type as it lies in memory. Strides in elements.
struct StridedWeightView {
  const void* data;
  std::int64_t outputs;
  std::int64_t cols;
  std::int64_t output_stride;
  std::int64_t column_stride;
};

// Activations X[rows, cols] in bf16 tiles of 16 rows and 32 columns, 1 KB each: tile (t, s) holds rows 16t.. and
// columns 32s.., row after row, at ((t / 2 * steps + s) * 2 + t % 2) KB: 32 rows at a time are read in order. The
// number of tiles down is even; what lies past the array is zero.
struct TiledRowsView {
  std::uint8_t* tiles;  // 64-byte aligned
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t steps;  // cols / 32, rounded up
};

// y[row * y_stride + output] = sum over columns of x[row, column] * w[output, column], for the rows
// [row_begin, row_end) of x and the outputs of the weight groups [group_begin, group_end).
// Every element is computed by itself, in an order its columns alone decide: any split gives the same bits.
using LinearQuantised = void (*)(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin,
                                 std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                                 std::int64_t y_stride);
using LinearReal = void (*)(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,
                            std::int64_t y_stride);

// The same for all rows of x and the outputs [output_begin, output_end), with weights as they lie: for few rows. At
// every level the bits are those of LinearReal. One of the weight's strides is 1.
using LinearStrided = void (*)(const StridedWeightView& weight, const RealRowsView& x, std::int64_t output_begin,
                               std::int64_t output_end, float* y, std::int64_t y_stride);

// Where a panel kernel leaves its sums.
enum class PanelOrder : std::uint8_t {
  rows,    // y[row, output] at row * stride + output
  panels,  // blocks of 32 rows by 32 outputs in the order they are computed, see below
};

// In the order `panels`, `stride` is the number of rows rounded up to 32, and the block of rows from r and outputs from
// o begins at o * stride + r * 32: four parts of 16 rows by 16 outputs each, the outputs that follow before the rows
// that do. What belongs to rows or outputs past the end is undefined.
struct PanelSumsView {
  float* values;  // 64-byte aligned for `panels`
  std::int64_t stride;
  PanelOrder order;
};
inline constexpr std::int64_t panel_sums_rows = 32;
inline constexpr std::int64_t panel_sums_outputs = 32;

// The same for all rows of x, with weights dequantised to bf16: for programs of many rows. The scratch is the caller's
// own during the call, 64-byte aligned: panel_scratch_weights bytes, and, unless the sums stay in panels,
// panel_scratch_row for each row of x (rounded up to 32, at most panel_scratch_rows).
inline constexpr std::int64_t panel_scratch_weights = 80 * 1024;
inline constexpr std::int64_t panel_scratch_row = 1024;
inline constexpr std::int64_t panel_scratch_rows = 512;
using LinearPanel = void (*)(const PackedWeightView& weight, const TiledRowsView& x, std::int64_t group_begin,
                             std::int64_t group_end, const PanelSumsView& y, std::uint8_t* scratch);

// Tiles [tile_begin, tile_end) of 16 rows of x (row stride in elements), rounded to nearest even.
using TileRows = void (*)(const float* x, std::int64_t x_stride, std::int64_t tile_begin, std::int64_t tile_end,
                          const TiledRowsView& out);
// Columns [32 * step_begin, 32 * step_end) of sums in the order `panels` (stride as above), likewise.
using TilePanelSums = void (*)(const float* sums, std::int64_t sums_stride, std::int64_t step_begin,
                               std::int64_t step_end, const TiledRowsView& out);

// Rows [row_begin, row_end) of x (row stride in elements) to int8. Each block of 32 has the scale d = max|x| / 127 and
// values x * (127 / max|x|) rounded to nearest, ties to even. A block whose largest magnitude is below 2^-119 is zero;
// one that holds a NaN or an infinity has the scale NaN and the values zero, so that every output it reaches is NaN.
using QuantiseRows = void (*)(const float* x, std::int64_t x_stride, std::int64_t row_begin, std::int64_t row_end,
                              const QuantisedRowsView& out);

}  // namespace lazuli
