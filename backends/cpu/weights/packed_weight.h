// SPDX-License-Identifier: MIT
// Weights packed for the matmul kernels, and the int8 activations that meet them there.
//
// Packing changes where bits are, never what they say: unpack_rows gives exactly the floats of dequantise() on the
// file's blocks (a zero may lose its sign, and mxfp8 blocks beyond f32's range become infinite). The size is that of
// the file, up to 3 % more for k types and where scales keep f32 (scale_form.h), plus padding to 16 rows.
// kernels/formats/packed_planes.h describes the layout.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/weights/scale_form.h>
#include <lazuli/graph/buffer.h>
#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>

namespace lazuli {

// Goes up by one when the packed form of a type that had one changes: packed weights are kept on disk.
inline constexpr int packed_layout_version = 1;

struct PackedWeight {
  DType source;
  std::int64_t rows;
  std::int64_t cols;
  ScaleForm scales;
  BufferRef data;

  std::int64_t groups() const { return (rows + packed_group_rows - 1) / packed_group_rows; }
};

// Whether weights of this type and row length have a packed form: f32, f16, bf16 with any row length, the
// block-quantised types of packed_formats.def with whole blocks, of 32 columns at least.
bool can_pack(DType dtype, std::int64_t cols);
// The type in whose packed form a weight is kept: its own, or f32 where it has none.
DType packed_dtype(DType dtype, std::int64_t cols);

// Bytes of the packed form. Throws Error where can_pack is false or rows < 0.
std::size_t packed_bytes(DType dtype, std::int64_t rows, std::int64_t cols, ScaleForm scales = {});

// A weight with its memory allocated and nothing in it yet; all its scales must fit `scales`. Throws as packed_bytes
// does.
PackedWeight allocate_packed(DType dtype, std::int64_t rows, std::int64_t cols, ScaleForm scales = {},
                             const AllocatorRef& allocator = nullptr);

// Packs the groups [group_begin, group_end), 16 rows each. `source` is the first byte of row 0 of the whole weight.
// Ranges that do not overlap may be packed by several threads at once.
void pack_rows(const std::byte* source, PackedWeight& weight, std::int64_t group_begin, std::int64_t group_end);

// The same for weights that have no packed form (e2m1_16 with rows that are no multiple of 32): dequantised from
// `from`, into a weight packed as f32.
void pack_dequantised_rows(DType from, const std::byte* source, PackedWeight& weight, std::int64_t group_begin,
                           std::int64_t group_end);

// Writes the rows [row_begin, row_end), `cols` floats each, contiguous.
void unpack_rows(const PackedWeight& weight, std::int64_t row_begin, std::int64_t row_end, float* out);

PackedWeightView view(const PackedWeight& weight);
// Of a plain type, over memory that is aligned to 64 bytes and packed_bytes(dtype, rows, cols) long. Throws as that
// does.
PackedWeightView packed_view(DType dtype, std::int64_t rows, std::int64_t cols, const void* memory);

// Bytes a QuantisedRowsView of this size needs; `cols` is a multiple of 32.
std::size_t quantised_rows_bytes(std::int64_t rows, std::int64_t cols);
// Lays the view over `memory`, aligned to 64 bytes and quantised_rows_bytes(rows, cols) long.
QuantisedRowsView quantised_rows(void* memory, std::int64_t rows, std::int64_t cols);

// The same for bf16 tiles, of any number of columns.
std::size_t tiled_rows_bytes(std::int64_t rows, std::int64_t cols);
TiledRowsView tiled_rows(void* memory, std::int64_t rows, std::int64_t cols);

}  // namespace lazuli
