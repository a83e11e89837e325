// SPDX-License-Identifier: MIT
// The extreme values of rows: argmax, argmin, top_k, and the argmax of columns as a chain computes them.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

void lower_extreme(ProgramBuilder& builder, std::int32_t id);  // argmax, argmin
void lower_top_k(ProgramBuilder& builder, std::int32_t id);

// The argmax `id` of rows that come column by column: the first largest of every range of so many columns, and, once
// all have come, of those.
inline constexpr std::int64_t argmax_columns = 256;
View new_argmax_maxima(ProgramBuilder& builder, std::int64_t rows, std::int64_t columns);
Division add_argmax_columns(ProgramBuilder& builder, std::int32_t id, const View& x, const View& maxima,
                            const Extent& rows_now);
void add_argmax_of_maxima(ProgramBuilder& builder, std::int32_t id, const View& maxima, std::int64_t columns);

}  // namespace lazuli::cpu
