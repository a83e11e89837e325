// SPDX-License-Identifier: MIT
// Reductions whose elements are rows apart in memory, such as the sum over the rows of a matrix: rows are read as they
// lie, a tile of columns at a time, instead of column by column.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

namespace lazuli::cpu {

// `source` is [kept..., reduced], `target` [kept..., 1]. False, and no step, where a column at a time is no slower: the
// last of the kept axes is not the one that runs along memory, or it is short.
bool add_column_reduction(ProgramBuilder& builder, std::int32_t id, const View& source, const View& target);
// The same where the rows that are reduced are those of a run. Of fewer than there are lanes `few` computes a range of
// the results, numbered row by row, a column at a time.
bool add_column_reduction(ProgramBuilder& builder, std::int32_t id, const View& source, const View& target,
                          const Extent& rows, Run few);

}  // namespace lazuli::cpu
