// SPDX-License-Identifier: MIT
// The forms in which matmul kernels take their operand, int8 rows or bf16 tiles, each made once for all its readers.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

// All axes but the last, as one.
std::int64_t rows_of(const View& x);

// The buffer that holds the form of x (contiguous f32), made for node `id` if it is not there yet.
int quantised_rows_of(ProgramBuilder& builder, std::int32_t id, const View& x);
int tiled_rows_of(ProgramBuilder& builder, std::int32_t id, const View& x);

// The form that the matmul `reader` takes, made of the columns of `x` as they are computed: of a tile-local buffer with
// `rows` of them, in this order.
Division add_operand_columns(ProgramBuilder& builder, std::int32_t reader, const View& x, const Extent& rows,
                             std::int64_t columns, PanelOrder order);

// The buffer is written over: its forms are not of its contents any more.
void forget_forms_of(ProgramBuilder& builder, int buffer);

}  // namespace lazuli::cpu
