// SPDX-License-Identifier: MIT
// How prompt attention in bf16 tiles is cut into units and steps, and how its scratch is laid out. Private to its
// kernel and the registry; everything here has internal linkage, since an instruction-set unit includes it.
#pragma once

#include <lazuli/backends/cpu/kernels/attention/attention_arguments.h>

#include <cstdint>

namespace lazuli {
namespace {

constexpr int step_keys = 128;    // positions [128 n, 128 n + 128): the step of the online softmax
constexpr int granule_keys = 32;  // depth of one tile product with values; what nobody sees is skipped by granules
constexpr int step_granules = step_keys / granule_keys;
constexpr int tile_queries = 16;
constexpr int unit_queries = 32;
constexpr int panel_columns = 32;  // heads are padded with zeros to whole panels
constexpr int max_block_units = 16;
constexpr std::int64_t bf16_tile_bytes = 1024;

// Units of one kv head, of `queries` consecutive queries each (the last may be shorter).
struct PromptUnits {
  std::int64_t total_queries;
  std::int64_t queries;
  std::int64_t per_head;
};

inline PromptUnits prompt_units(const AttentionArguments& arguments) {
  const std::int64_t total = arguments.rows * (arguments.heads / arguments.kv_heads);
  const std::int64_t queries = total < 8 * unit_queries ? tile_queries : unit_queries;
  return {total, queries, (total + queries - 1) / queries};
}

// Scratch of one call, offsets in bytes from a 64-byte boundary.
struct PromptScratch {
  std::int64_t panels;         // of a padded head
  std::int64_t block_units;    // units that share one conversion of keys and values: what the second cache level holds
  std::int64_t queries;        // [block unit][2 query tiles][panel]: bf16 tiles [16 column pairs][16 queries][2]
  std::int64_t sums;           // [block unit][2 query tiles][padded head][16 queries] f32
  std::int64_t keys;           // [granule][panel][2]: bf16 tiles [16 keys][32 columns]
  std::int64_t values;         // [panel][granule][2]: bf16 tiles [16 columns][32 keys]
  std::int64_t scores;         // [2 query tiles][step_keys][16 queries] f32
  std::int64_t probabilities;  // [2 query tiles][granule]: bf16 tiles [16 key pairs][16 queries][2]
  std::int64_t bytes;
};

inline PromptScratch prompt_scratch(std::int64_t width) {
  constexpr std::int64_t max_sums = 512 * 1024;
  PromptScratch plan;
  plan.panels = (width + panel_columns - 1) / panel_columns;
  const std::int64_t unit_sums = unit_queries * plan.panels * panel_columns * 4;
  plan.block_units = max_sums / unit_sums;
  if (plan.block_units > max_block_units) plan.block_units = max_block_units;
  if (plan.block_units < 1) plan.block_units = 1;
  plan.queries = 0;
  plan.sums = plan.queries + plan.block_units * unit_sums / 2;
  plan.keys = plan.sums + plan.block_units * unit_sums;
  plan.values = plan.keys + step_granules * plan.panels * 2 * bf16_tile_bytes;
  plan.scores = plan.values + step_granules * plan.panels * 2 * bf16_tile_bytes;
  plan.probabilities = plan.scores + unit_queries * step_keys * 4;
  plan.bytes = plan.probabilities + unit_queries * step_keys * 2;
  return plan;
}

}  // namespace
}  // namespace lazuli
