// SPDX-License-Identifier: MIT
#include <emmintrin.h>
#include <lazuli/backends/cpu/weights/pack_strided.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/base/fail.h>

#include <algorithm>
#include <cstring>

namespace lazuli {
namespace {

// Groups that are filled together where outputs lie side by side, so that a column is read in long pieces.
constexpr std::int64_t groups_at_once = 16;

void transpose(const float* from, std::int64_t stride, float* to) {
  __m128 row[4];
  for (int i = 0; i < 4; ++i) row[i] = _mm_loadu_ps(from + i * stride);
  _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
  for (int i = 0; i < 4; ++i) _mm_store_ps(to + i * packed_group_rows, row[i]);
}

void transpose(const std::uint16_t* from, std::int64_t stride, std::uint16_t* to) {
  std::uint64_t row[4], column[4] = {};
  for (int i = 0; i < 4; ++i) std::memcpy(&row[i], from + i * stride, sizeof(row[i]));
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) column[j] |= (row[i] >> (16 * j) & 0xffff) << (16 * i);
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * packed_group_rows, &column[i], sizeof(column[i]));
}

// Columns that lie side by side. Sixteen of an output before those of the next: outputs may lie on the same cache sets.
template <class Word>
void pack_along_columns(const Word* from, std::int64_t stride, std::int64_t cols, Word* group) {
  constexpr std::int64_t line_columns = 16;
  for (std::int64_t first = 0; first < cols; first += line_columns) {
    const std::int64_t end = std::min(cols, first + line_columns);
    for (std::int64_t lane = 0; lane < packed_group_rows; lane += 4) {
      const Word* rows = from + lane * stride;
      std::int64_t column = first;
      for (; column + 4 <= end; column += 4)
        transpose(rows + column, stride, group + column * packed_group_rows + lane);
      for (; column < end; ++column)
        for (std::int64_t i = 0; i < 4; ++i)
          std::memcpy(group + column * packed_group_rows + lane + i, rows + i * stride + column, sizeof(Word));
    }
  }
}

template <class Word>
void pack_lanes(const Word* from, const StridedWeightView& source, std::int64_t lanes, Word* group) {
  for (std::int64_t column = 0; column < source.cols; ++column)
    for (std::int64_t lane = 0; lane < lanes; ++lane)
      std::memcpy(group + column * packed_group_rows + lane,
                  from + lane * source.output_stride + column * source.column_stride, sizeof(Word));
}

template <class Word>
void pack(const StridedWeightView& source, std::uint8_t* packed, std::int64_t group_bytes, std::int64_t group_begin,
          std::int64_t group_end) {
  const auto* data = static_cast<const Word*>(source.data);
  const auto group_at = [&](std::int64_t index) { return reinterpret_cast<Word*>(packed + index * group_bytes); };
  std::int64_t index = group_begin;
  const std::int64_t whole_end = std::min(group_end, source.outputs / packed_group_rows);
  while (index < whole_end) {
    const Word* from = data + index * packed_group_rows * source.output_stride;
    if (source.output_stride == 1) {
      const std::int64_t end = std::min(whole_end, index + groups_at_once);
      for (std::int64_t column = 0; column < source.cols; ++column)
        for (std::int64_t group = index; group < end; ++group)
          std::memcpy(group_at(group) + column * packed_group_rows,
                      from + column * source.column_stride + (group - index) * packed_group_rows,
                      packed_group_rows * sizeof(Word));
      index = end;
      continue;
    }
    if (source.column_stride == 1)
      pack_along_columns(from, source.output_stride, source.cols, group_at(index));
    else
      pack_lanes(from, source, packed_group_rows, group_at(index));
    ++index;
  }
  if (index < group_end) {
    std::memset(group_at(index), 0, static_cast<std::size_t>(group_bytes));
    pack_lanes(data + index * packed_group_rows * source.output_stride, source,
               source.outputs - index * packed_group_rows, group_at(index));
  }
}

}  // namespace

void pack_strided(DType dtype, const StridedWeightView& source, std::uint8_t* packed, std::int64_t group_begin,
                  std::int64_t group_end) {
  const std::int64_t group_bytes = packed_view(dtype, source.outputs, source.cols, packed).group_bytes;
  switch (dtype) {
    case DType::f32:
      return pack<float>(source, packed, group_bytes, group_begin, group_end);
    case DType::f16:
    case DType::bf16:
      return pack<std::uint16_t>(source, packed, group_bytes, group_begin, group_end);
    default:
      fail_internal("{} is no plain type", to_string(dtype));
  }
}

}  // namespace lazuli
