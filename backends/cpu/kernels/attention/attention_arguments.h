// SPDX-License-Identifier: MIT
// What the attention kernels see: a plain struct over memory somebody else owns.
//
// Instruction-set units include this header, so it holds no inline code and no std:: types: the linker keeps one copy
// of an inline function, and that copy could be the one compiled for a CPU the host is not.
#pragma once

#include <cstdint>

namespace lazuli {

enum class AttentionCache : std::uint8_t { f32, f16, bf16, q8_0 };

// out[r, h] = sum over the visible keys p of softmax_p(scale * (q[r, h] · k[p])) * v[p], with the keys and values of kv
// head h / (heads / kv_heads). Row r stands at the absolute position positions[r]; it sees the key positions p with
// 0 <= p < length, p <= positions[r] and, if window > 0, p > positions[r] - window. Key position p lies in row
// p % capacity, and is visible while no newer one has taken that row: p >= length - capacity. Rows with a negative
// position are padding; they and rows that see no key become zero.
//
// Strides are in elements, from one row to the next; within a row the heads follow each other, `width` elements each.
// Widths and strides of a q8_0 cache are multiples of its block of 32.
struct AttentionArguments {
  const float* q;                 // [rows, heads, width]
  const void* k;                  // [capacity, kv_heads, width]
  const void* v;                  // [capacity, kv_heads, width]
  float* out;                     // [rows, heads, width]; no overlap with the operands
  const std::int32_t* positions;  // [rows], in any order
  std::int64_t rows;
  std::int64_t heads;
  std::int64_t kv_heads;  // divides heads
  std::int64_t width;     // of a head
  std::int64_t capacity;  // positions the cache holds
  std::int64_t length;    // positions written so far, this step's included
  std::int64_t window;    // 0: no window
  std::int64_t q_stride;
  std::int64_t k_stride;
  std::int64_t v_stride;
  std::int64_t out_stride;
  float scale;
  AttentionCache cache;  // element type of k and v
};

// Computes the units [unit_begin, unit_end) of attention_units(arguments). The scratch is the caller's own during the
// call and holds attention_scratch_floats(arguments) floats.
// What a row of q becomes depends on its values, the visible keys and values and their absolute positions alone: any
// split of the units, other rows in the call, the capacity and the cache's chunking change no bit.
using Attention = void (*)(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                           float* scratch);

// The same in two steps, for few rows and many positions: parts of the positions, units [unit_begin, unit_end) of
// attention_part_units(arguments), to `partials` of attention_partial_floats(arguments) floats that all units share;
// then the queries [query_begin, query_end) of rows * heads from their parts. Splits of either change no bit.
using AttentionParts = void (*)(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                                float* partials, float* scratch);
using AttentionCombine = void (*)(const AttentionArguments& arguments, std::int64_t query_begin, std::int64_t query_end,
                                  float* partials);

}  // namespace lazuli
