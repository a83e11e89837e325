// SPDX-License-Identifier: MIT
// How attention is cut into units, blocks and tiles, and how a block's scratch is laid out. Private to the kernels.
//
// The unit of arithmetic is a query: one head of one row of q. Queries of one kv head are numbered row by row, so that
// neighbours share most of their keys. Everything here has internal linkage: instruction-set units include it.
#pragma once

#include <lazuli/backends/cpu/kernels/attention/attention_arguments.h>

#include <cstdint>

namespace lazuli {
namespace {

constexpr int lanes = 16;           // of a dot product, at every instruction-set level
constexpr int tile_keys = 64;       // a tile holds the positions [64 n, 64 n + 64): the step of the online softmax
constexpr int group_keys = 16;      // keys converted to f32 at a time; 16 heads of width 512 fit an L1 cache
constexpr int value_columns = 64;   // columns of values converted at a time; 64 keys of them fit an L1 cache
constexpr int block_queries = 128;  // queries that share one conversion of keys and values
constexpr int cache_line_floats = 16;

// Units of one kv head; each is `queries` consecutive queries (the last may be shorter). Many units for few queries,
// so that a decode step of one row still splits by head; a kernel joins the units of one call into blocks.
struct UnitPlan {
  std::int64_t total_queries;
  std::int64_t queries;
  std::int64_t per_head;
};

inline UnitPlan unit_plan(const AttentionArguments& arguments) {
  const std::int64_t total = arguments.rows * (arguments.heads / arguments.kv_heads);
  std::int64_t queries = total / 64;
  if (queries < 1) queries = 1;
  if (queries > block_queries) queries = block_queries;
  return {total, queries, (total + queries - 1) / queries};
}

// Unit numbers to places in the order of the queries: first, last, second, last but one, … Where rows ascend, two
// neighbours together see as many keys as any other two, which keeps a static partition balanced.
inline std::int64_t unit_place(std::int64_t unit, std::int64_t per_head) {
  return unit % 2 == 0 ? unit / 2 : per_head - 1 - unit / 2;
}

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

// Positions [first, end); none where first >= end.
struct Positions {
  std::int64_t first;
  std::int64_t end;
};

inline Positions seen_by_row(const AttentionArguments& arguments, std::int64_t row) {
  const std::int64_t position = arguments.positions[row];
  const std::int64_t oldest = larger(arguments.length - arguments.capacity, 0);  // that the cache still holds
  const std::int64_t first = arguments.window > 0 ? larger(position - arguments.window + 1, oldest) : oldest;
  return {first, smaller(position + 1, arguments.length)};
}

// Decoding splits by positions: parts [128 n, 128 n + 128) of all heads. What a query becomes in each part of those it
// may see stands in memory of [part][row][head][partial_floats], until it is combined in ascending order.
constexpr int part_keys = 128;

// The parts that hold visible positions.
inline Positions live_parts(const AttentionArguments& arguments) {
  Positions seen{INT64_MAX, 0};
  for (std::int64_t row = 0; row < arguments.rows; ++row) {
    const Positions own = seen_by_row(arguments, row);
    if (own.first >= own.end) continue;
    seen = {smaller(seen.first, own.first), larger(seen.end, own.end)};
  }
  if (seen.first >= seen.end) return {0, 0};
  return {seen.first / part_keys, (seen.end - 1) / part_keys + 1};
}

// At most as many at any length: visible positions lie within `capacity` of each other.
inline std::int64_t max_parts(const AttentionArguments& arguments) { return (arguments.capacity - 1) / part_keys + 2; }
inline std::int64_t queries_of_head(const AttentionArguments& arguments) {
  return arguments.rows * (arguments.heads / arguments.kv_heads);
}
// A part divides by queries as well: a short context is one part, which is not one worker's alone.
inline std::int64_t part_units(const AttentionArguments& arguments) {
  return max_parts(arguments) * arguments.kv_heads * queries_of_head(arguments);
}

// Scratch of one block, offsets in floats from a 64-byte boundary. Heads are padded with zeros to whole vectors.
struct ScratchPlan {
  std::int64_t width;    // of a padded head
  std::int64_t queries;  // [block_queries, width]
  std::int64_t sums;     // [block_queries, width]: weighted values so far
  std::int64_t keys;     // [group_keys, width]
  std::int64_t values;   // [tile_keys, value_columns]
  std::int64_t scores;   // [block_queries, tile_keys]: scores, then probabilities
  std::int64_t floats;
};

inline ScratchPlan scratch_plan(std::int64_t head_width) {
  ScratchPlan plan;
  plan.width = (head_width + lanes - 1) / lanes * lanes;
  plan.queries = 0;
  plan.sums = plan.queries + block_queries * plan.width;
  plan.keys = plan.sums + block_queries * plan.width;
  plan.values = plan.keys + group_keys * plan.width;
  plan.scores = plan.values + tile_keys * value_columns;
  plan.floats = plan.scores + block_queries * tile_keys;
  return plan;
}

// Of a query in a part: [padded width] weighted values, then maximum, total and room for the combination.
inline std::int64_t partial_floats(const ScratchPlan& plan) { return plan.width + cache_line_floats; }

}  // namespace
}  // namespace lazuli
