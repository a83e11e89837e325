// SPDX-License-Identifier: MIT
// Attention of prompts with AMX: queries, keys, probabilities and values in bf16, everything else in f32.
//
// Scores are computed transposed, keys down and queries across: keys then go into tiles as they lie in the cache, and
// the softmax works on 16 queries side by side, without a horizontal operation. Keys and values are converted once for
// a block of units; a unit is two tiles of 16 queries, those of all heads that share a kv head one after the other.
//
// The bits of a query's result must not depend on what shares its tile, unit or block. For each query alone:
//   - steps of the softmax are aligned to absolute positions and taken in ascending order. A step without a visible key
//     changes nothing: the origin stays, and zeros are added;
//   - a column of a tile product depends on that column of the second operand alone, and sums run over ascending
//     columns or keys;
//   - an infinity or NaN among the values, which times the weight 0 would be NaN, is left out of the tiles and added to
//     the queries that see it one by one;
//   - tile products flush denormals, and adding zeros may flip the sign of zero: results below the smallest normal
//     number become +0.
#include <lazuli/backends/cpu/kernels/attention/attention_bf16_avx512.h>
#include <lazuli/backends/cpu/kernels/attention/attention_plan.h>
#include <lazuli/backends/cpu/kernels/attention/attention_prompt_plan.h>
#include <lazuli/backends/cpu/kernels/intrinsics/tile_configuration_amx.h>

namespace lazuli {
namespace {

constexpr float infinity = __builtin_inff();
// The sums of a query are rescaled only where a step's largest score exceeds the origin by more: rarely after the first
// steps. Probabilities reach 2^8 then, which floats do not mind.
constexpr float origin_slack = 8.0f;
constexpr float log2_e = 0x1.715476p+0f;

struct Unit {
  std::int64_t place;  // of its first query among those of the kv head
  std::int64_t first;  // any query sees [first, end)
  std::int64_t end;
  int tiles;  // with queries in them
  std::uint8_t* queries;
  float* sums;
  alignas(64) std::int32_t query_first[unit_queries];  // visible positions, by query; none for those past the last
  alignas(64) std::int32_t query_end[unit_queries];
  alignas(64) float origin[unit_queries];  // what scores are relative to: at most origin_slack below their maximum
  alignas(64) float total[unit_queries];   // of the probabilities so far, relative to 2^origin
};

struct Block {
  const AttentionArguments* arguments;
  PromptScratch plan;
  std::uint8_t* scratch;
  std::int64_t kv_head;
  int count;
  Unit units[max_block_units];

  std::uint8_t* at(std::int64_t offset) const { return scratch + offset; }
};

// A step's keys that somebody sees, in whole granules, and where the step begins.
struct Step {
  std::int64_t begin;
  int first_granule;
  int end_granule;
};

// The row of the cache `ahead` positions after that of a given row.
inline std::int64_t row_after(const AttentionArguments& arguments, std::int64_t row, std::int64_t ahead) {
  for (row += ahead; row >= arguments.capacity;) row -= arguments.capacity;
  return row;
}

// The keys of a granule, as they lie in the cache: two tiles a panel. Keys outside [first, end) become zero.
template <AttentionCache type>
void convert_keys(const Block& block, std::int64_t begin, std::int64_t first, std::int64_t end, std::uint8_t* tiles) {
  const AttentionArguments& arguments = *block.arguments;
  const std::int64_t begin_row = begin % arguments.capacity;
  for (int key = 0; key < granule_keys; ++key) {
    const std::int64_t position = begin + key;
    std::uint8_t* to = tiles + key / 16 * bf16_tile_bytes + key % 16 * 64;
    const bool seen = position >= first && position < end;
    const std::int64_t row = seen ? row_after(arguments, begin_row, key) : 0;
    const std::int64_t offset = row * arguments.k_stride + block.kv_head * arguments.width;
    for (std::int64_t panel = 0; panel < block.plan.panels; ++panel, to += 2 * bf16_tile_bytes) {
      const std::int64_t column = panel * panel_columns, left = seen ? arguments.width - column : 0;
      const __m512 low = load16<type>(arguments.k, offset + column, first_lanes(left));
      const __m512 high = load16<type>(arguments.k, offset + column + 16, first_lanes(left - 16));
      _mm512_store_si512(to, to_bf16(low, high));
    }
  }
}

// The values of a granule, columns down and keys across. Keys outside [first, end), infinities and NaN become zero.
// Returns whether all are finite.
template <AttentionCache type>
bool convert_values(const Block& block, std::int64_t begin, std::int64_t first, std::int64_t end, std::uint8_t* tiles) {
  const AttentionArguments& arguments = *block.arguments;
  const __m512i exponent = _mm512_set1_epi16(0x7f80);
  const std::int64_t begin_row = begin % arguments.capacity;
  std::int64_t offsets[granule_keys];
  bool seen[granule_keys];
  for (int key = 0; key < granule_keys; ++key) {
    const std::int64_t position = begin + key;
    seen[key] = position >= first && position < end;
    const std::int64_t row = seen[key] ? row_after(arguments, begin_row, key) : 0;
    offsets[key] = row * arguments.v_stride + block.kv_head * arguments.width;
  }
  __mmask32 special = 0;
  for (std::int64_t column = 0; column < block.plan.panels * panel_columns; column += 16) {
    const __mmask16 inside = first_lanes(arguments.width - column);
    __m512i pairs[16];
#pragma GCC unroll 16
    for (int pair = 0; pair < 16; ++pair) {
      const int even = 2 * pair, odd = even + 1;
      const __m512i both = pair_bf16(load16<type>(arguments.v, offsets[even] + column, seen[even] ? inside : 0),
                                     load16<type>(arguments.v, offsets[odd] + column, seen[odd] ? inside : 0));
      const __mmask32 not_finite = _mm512_cmpeq_epi16_mask(_mm512_and_si512(both, exponent), exponent);
      special |= not_finite;
      pairs[pair] = _mm512_maskz_mov_epi16(~not_finite, both);
    }
    transpose(pairs);
    const std::int64_t tile = column / panel_columns * step_granules * 2 + column / 16 % 2;
    std::uint8_t* to = tiles + tile * bf16_tile_bytes;
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) _mm512_store_si512(to + 64 * i, pairs[i]);
  }
  return special == 0;
}

// Scores of a granule's 32 keys, [key][16 queries] for each tile of queries.
template <int tiles>
void score(const std::uint8_t* keys, const std::uint8_t* queries, std::int64_t panels, float* scores) {
  const std::uint8_t* second = queries + panels * bf16_tile_bytes;
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (tiles == 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    _tile_loadd(4, keys + 2 * panel * bf16_tile_bytes, 64);
    _tile_loadd(6, queries + panel * bf16_tile_bytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, keys + (2 * panel + 1) * bf16_tile_bytes, 64);
    _tile_dpbf16ps(1, 5, 6);
    if constexpr (tiles == 2) {
      _tile_loadd(7, second + panel * bf16_tile_bytes, 64);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, scores, 64);
  _tile_stored(1, scores + 16 * tile_queries, 64);
  if constexpr (tiles == 2) {
    _tile_stored(2, scores + step_keys * tile_queries, 64);
    _tile_stored(3, scores + (step_keys + 16) * tile_queries, 64);
  }
}

// Adds probabilities x values of the granules [first, end) to the sums of one panel of columns.
template <int tiles>
void weigh(const std::uint8_t* values, const std::uint8_t* probabilities, int first, int end, float* sums,
           std::int64_t tile_sums) {
  float* second = sums + tile_sums;
  _tile_loadd(0, sums, 64);
  _tile_loadd(1, sums + 16 * tile_queries, 64);
  if constexpr (tiles == 2) {
    _tile_loadd(2, second, 64);
    _tile_loadd(3, second + 16 * tile_queries, 64);
  }
  for (int granule = first; granule < end; ++granule) {
    _tile_loadd(4, values + 2 * granule * bf16_tile_bytes, 64);
    _tile_loadd(6, probabilities + granule * bf16_tile_bytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, values + (2 * granule + 1) * bf16_tile_bytes, 64);
    _tile_dpbf16ps(1, 5, 6);
    if constexpr (tiles == 2) {
      _tile_loadd(7, probabilities + (step_granules + granule) * bf16_tile_bytes, 64);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + 16 * tile_queries, 64);
  if constexpr (tiles == 2) {
    _tile_stored(2, second, 64);
    _tile_stored(3, second + 16 * tile_queries, 64);
  }
}

// Which of 16 queries see a key.
struct Visible {
  __m512i first, end;      // positions, by query
  std::int64_t all_first;  // all see [all_first, all_end)
  std::int64_t all_end;

  explicit Visible(const Unit& unit, int tile)
      : first(_mm512_load_si512(unit.query_first + tile * tile_queries)),
        end(_mm512_load_si512(unit.query_end + tile * tile_queries)),
        all_first(_mm512_reduce_max_epi32(first)),
        all_end(_mm512_reduce_min_epi32(end)) {}

  __mmask16 key(std::int64_t position) const {
    const __m512i at = _mm512_set1_epi32(static_cast<std::int32_t>(position));
    return _mm512_mask_cmplt_epi32_mask(_mm512_cmpge_epi32_mask(at, first), at, end);
  }
};

// The largest score of each of 16 queries in a step; scores of keys a query does not see become -inf.
inline __m512 mask_and_maximum(const Visible& visible, const Step& step, float* scores) {
  __m512 top[4];
  for (__m512& each : top) each = _mm512_set1_ps(-infinity);
  for (int granule = step.first_granule; granule < step.end_granule; ++granule) {
    const std::int64_t position = step.begin + granule * granule_keys;
    float* at = scores + granule * granule_keys * tile_queries;
    if (position < visible.all_first || position + granule_keys > visible.all_end) {
      for (int key = 0; key < granule_keys; ++key) {
        const __m512 kept = _mm512_mask_mov_ps(_mm512_set1_ps(-infinity), visible.key(position + key),
                                               _mm512_load_ps(at + key * tile_queries));
        _mm512_store_ps(at + key * tile_queries, kept);
      }
    }
    for (int key = 0; key < granule_keys; key += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) top[i] = _mm512_max_ps(_mm512_load_ps(at + (key + i) * tile_queries), top[i]);
    }
  }
  return _mm512_max_ps(_mm512_max_ps(top[0], top[1]), _mm512_max_ps(top[2], top[3]));
}

// Scores of 16 queries to probabilities in bf16, and their sums so far to the new maximum.
inline void soften(Unit& unit, int tile, const Step& step, float* scores, std::uint8_t* probabilities, float* sums,
                   std::int64_t padded_width) {
  float* kept_origin = unit.origin + tile * tile_queries;
  float* kept_total = unit.total + tile * tile_queries;
  const __m512 before = _mm512_load_ps(kept_origin);
  const __m512 maximum = mask_and_maximum(Visible(unit, tile), step, scores);
  const __mmask16 moves = _mm512_cmp_ps_mask(maximum, _mm512_add_ps(before, _mm512_set1_ps(origin_slack)), _CMP_GT_OQ);
  const __m512 after = _mm512_mask_mov_ps(before, moves, maximum);
  // Where every score so far is -inf, the difference -inf - -inf would be NaN.
  const __mmask16 none = _mm512_cmp_ps_mask(after, _mm512_set1_ps(-infinity), _CMP_EQ_OQ);
  const __m512 origin = _mm512_mask_mov_ps(after, none, _mm512_setzero_ps());
  const __m512i upper = _mm512_set1_epi32(static_cast<std::int32_t>(0xffff0000));
  __m512 even_total = _mm512_setzero_ps(), odd_total = _mm512_setzero_ps();  // of the rounded ones: weights sum to 1
  for (int granule = step.first_granule; granule < step.end_granule; ++granule) {
    const float* at = scores + granule * granule_keys * tile_queries;
    std::uint8_t* to = probabilities + granule * bf16_tile_bytes;
#pragma GCC unroll 4
    for (int pair = 0; pair < granule_keys / 2; ++pair) {
      const __m512 even = power_of_two(_mm512_sub_ps(_mm512_load_ps(at + 2 * pair * tile_queries), origin));
      const __m512 odd = power_of_two(_mm512_sub_ps(_mm512_load_ps(at + (2 * pair + 1) * tile_queries), origin));
      const __m512i both = pair_bf16(even, odd);
      _mm512_store_si512(to + 64 * pair, both);
      even_total = _mm512_add_ps(even_total, _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)));
      odd_total = _mm512_add_ps(odd_total, _mm512_castsi512_ps(_mm512_and_si512(both, upper)));
    }
  }
  const __m512 step_total = _mm512_add_ps(even_total, odd_total);
  if (moves == 0) {
    _mm512_store_ps(kept_total, _mm512_add_ps(_mm512_load_ps(kept_total), step_total));
    return;
  }
  const __m512 rescale = _mm512_mask_mov_ps(_mm512_set1_ps(1.0f), moves, power_of_two(_mm512_sub_ps(before, origin)));
  _mm512_store_ps(kept_total, _mm512_fmadd_ps(_mm512_load_ps(kept_total), rescale, step_total));
  _mm512_store_ps(kept_origin, after);
  for (std::int64_t column = 0; column < padded_width; ++column) {
    float* sum = sums + column * tile_queries;
    _mm512_store_ps(sum, _mm512_mul_ps(_mm512_load_ps(sum), rescale));
  }
}

// What the tiles leave out: infinities and NaN among a step's values, for the queries that see them.
template <AttentionCache type>
void add_special_values(const Block& block, const Unit& unit, const Step& step, const std::uint8_t* probabilities) {
  const AttentionArguments& arguments = *block.arguments;
  const std::int64_t tile_sums = block.plan.panels * panel_columns * tile_queries;
  const std::int64_t first = larger(unit.first, step.begin), end = smaller(unit.end, step.begin + step_keys);
  for (int tile = 0; tile < unit.tiles; ++tile) {
    const Visible visible(unit, tile);
    for (std::int64_t position = first; position < end; ++position) {
      const int key = static_cast<int>(position - step.begin);
      const std::int64_t pair = (tile * step_granules * granule_keys + key) / 2;
      const __m512i both = _mm512_load_si512(probabilities + pair * 64);
      const __m512i upper = _mm512_set1_epi32(static_cast<std::int32_t>(0xffff0000));
      const __m512 probability =
          _mm512_castsi512_ps(key % 2 == 0 ? _mm512_slli_epi32(both, 16) : _mm512_and_si512(both, upper));
      const std::int64_t offset = position % arguments.capacity * arguments.v_stride + block.kv_head * arguments.width;
      for (std::int64_t column = 0; column < arguments.width; ++column) {
        const float value = _mm512_cvtss_f32(load16<type>(arguments.v, offset + column, 1));
        if (__builtin_fabsf(value) < 0x1.ffp127f) continue;  // what does not round to an infinity in bf16
        float* sum = unit.sums + tile * tile_sums + column * tile_queries;
        const __m512 old = _mm512_load_ps(sum);
        _mm512_store_ps(sum, _mm512_mask3_fmadd_ps(probability, _mm512_set1_ps(value), old, visible.key(position)));
      }
    }
  }
}

// The granules of a step that any query of a unit sees; none where first_granule >= end_granule.
inline Step seen_by(const Unit& unit, std::int64_t begin) {
  const std::int64_t first = larger(unit.first - begin, 0), end = smaller(unit.end - begin, step_keys);
  if (first >= end) return {begin, step_granules, 0};
  return {begin, static_cast<int>(first / granule_keys), static_cast<int>((end + granule_keys - 1) / granule_keys)};
}

template <AttentionCache type, int tiles>
void run_unit(const Block& block, Unit& unit, const Step& step, bool values_finite) {
  const PromptScratch& plan = block.plan;
  const std::int64_t panels = plan.panels, tile_sums = panels * panel_columns * tile_queries;
  auto* scores = reinterpret_cast<float*>(block.at(plan.scores));
  std::uint8_t* probabilities = block.at(plan.probabilities);
  for (int granule = step.first_granule; granule < step.end_granule; ++granule) {
    score<tiles>(block.at(plan.keys) + granule * panels * 2 * bf16_tile_bytes, unit.queries, panels,
                 scores + granule * granule_keys * tile_queries);
  }
  for (int tile = 0; tile < tiles; ++tile) {
    soften(unit, tile, step, scores + tile * step_keys * tile_queries,
           probabilities + tile * step_granules * bf16_tile_bytes, unit.sums + tile * tile_sums,
           panels * panel_columns);
  }
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    weigh<tiles>(block.at(plan.values) + panel * step_granules * 2 * bf16_tile_bytes, probabilities, step.first_granule,
                 step.end_granule, unit.sums + panel * panel_columns * tile_queries, tile_sums);
  }
  if (!values_finite) add_special_values<type>(block, unit, step, probabilities);
}

template <AttentionCache type>
void run_step(Block& block, std::int64_t begin, std::int64_t block_first, std::int64_t block_end) {
  const PromptScratch& plan = block.plan;
  bool converted[step_granules] = {};
  bool values_finite = true;
  for (int index = 0; index < block.count; ++index) {
    Unit& unit = block.units[index];
    const Step step = seen_by(unit, begin);
    for (int granule = step.first_granule; granule < step.end_granule; ++granule) {
      if (converted[granule]) continue;
      converted[granule] = true;
      const std::int64_t position = begin + granule * granule_keys;
      convert_keys<type>(block, position, block_first, block_end,
                         block.at(plan.keys) + granule * plan.panels * 2 * bf16_tile_bytes);
      values_finite &= convert_values<type>(block, position, block_first, block_end,
                                            block.at(plan.values) + granule * 2 * bf16_tile_bytes);
    }
    if (step.first_granule >= step.end_granule) continue;
    if (unit.tiles == 2)
      run_unit<type, 2>(block, unit, step, values_finite);
    else
      run_unit<type, 1>(block, unit, step, values_finite);
  }
}

// The sums over the totals, to rows of the result; zeros for queries that saw nothing.
void finish(const Block& block, const Unit& unit, std::int64_t total_queries) {
  const AttentionArguments& arguments = *block.arguments;
  const std::int64_t group = arguments.heads / arguments.kv_heads;
  const std::int64_t tile_sums = block.plan.panels * panel_columns * tile_queries;
  for (int tile = 0; tile < unit.tiles; ++tile) {
    const __m512 total = _mm512_load_ps(unit.total + tile * tile_queries);
    const __m512i first = _mm512_load_si512(unit.query_first + tile * tile_queries);
    const __mmask16 sees = _mm512_cmplt_epi32_mask(first, _mm512_load_si512(unit.query_end + tile * tile_queries));
    const __m512 factor = _mm512_maskz_div_ps(sees, _mm512_set1_ps(1.0f), total);
    const std::int64_t place = unit.place + tile * tile_queries;
    const int queries = static_cast<int>(smaller(total_queries - place, tile_queries));
    for (std::int64_t column = 0; column < arguments.width; column += 16) {
      const __mmask16 inside = first_lanes(arguments.width - column);
      __m512i columns[16];
      for (int i = 0; i < 16; ++i) {
        const __m512 sum = _mm512_load_ps(unit.sums + tile * tile_sums + (column + i) * tile_queries);
        const __mmask16 normal = _mm512_cmp_ps_mask(_mm512_abs_ps(sum), _mm512_set1_ps(0x1p-126f), _CMP_NLT_UQ);
        columns[i] = _mm512_castps_si512(_mm512_maskz_mul_ps(normal & sees, sum, factor));
      }
      transpose(columns);
      for (int query = 0; query < queries; ++query) {
        const std::int64_t row = (place + query) / group;
        const std::int64_t head = block.kv_head * group + (place + query) % group;
        float* out = arguments.out + row * arguments.out_stride + head * arguments.width + column;
        _mm512_mask_storeu_epi32(out, inside, columns[query]);
      }
    }
  }
}

template <AttentionCache type>
void run_block(Block& block, std::int64_t total_queries) {
  std::int64_t first = INT64_MAX, end = 0;
  for (int index = 0; index < block.count; ++index) {
    if (block.units[index].first >= block.units[index].end) continue;
    first = smaller(first, block.units[index].first);
    end = larger(end, block.units[index].end);
  }
  for (std::int64_t begin = first / step_keys * step_keys; begin < end; begin += step_keys) {
    run_step<type>(block, begin, first, end);
  }
  for (int index = 0; index < block.count; ++index) finish(block, block.units[index], total_queries);
  block.count = 0;
}

// The queries of a unit to tiles, times scale and log2 e: scores are then exponents of 2.
void fill_queries(const Block& block, const Unit& unit, std::int64_t last_place) {
  const AttentionArguments& arguments = *block.arguments;
  const std::int64_t group = arguments.heads / arguments.kv_heads;
  const __m512 scale = _mm512_set1_ps(arguments.scale * log2_e);
  for (int tile = 0; tile < unit.tiles; ++tile) {
    for (std::int64_t panel = 0; panel < block.plan.panels; ++panel) {
      const std::int64_t column = panel * panel_columns;
      __m512i pairs[16];
      for (int query = 0; query < tile_queries; ++query) {
        const std::int64_t place = unit.place + tile * tile_queries + query;
        const std::int64_t left = place < last_place ? arguments.width - column : 0;
        const std::int64_t head = block.kv_head * group + place % group;
        const std::int64_t row = left > 0 ? place / group : 0;
        const float* q = arguments.q + row * arguments.q_stride + head * arguments.width + column;
        pairs[query] = to_bf16(_mm512_mul_ps(_mm512_maskz_loadu_ps(first_lanes(left), q), scale),
                               _mm512_mul_ps(_mm512_maskz_loadu_ps(first_lanes(left - 16), q + 16), scale));
      }
      transpose(pairs);
      std::uint8_t* to = unit.queries + (tile * block.plan.panels + panel) * bf16_tile_bytes;
      for (int i = 0; i < 16; ++i) _mm512_store_si512(to + 64 * i, pairs[i]);
    }
  }
}

void add_unit(Block& block, std::int64_t place, std::int64_t last_place) {
  const AttentionArguments& arguments = *block.arguments;
  const std::int64_t group = arguments.heads / arguments.kv_heads;
  const std::int64_t padded_width = block.plan.panels * panel_columns;
  Unit& unit = block.units[block.count];
  unit.place = place;
  unit.tiles = last_place - place > tile_queries ? 2 : 1;
  unit.queries = block.at(block.plan.queries) + block.count * unit_queries * padded_width * 2;
  unit.sums = reinterpret_cast<float*>(block.at(block.plan.sums)) + block.count * unit_queries * padded_width;
  unit.first = INT64_MAX;
  unit.end = 0;
  for (int i = 0; i < unit_queries; ++i) {
    unit.origin[i] = -infinity;
    unit.total[i] = 0.0f;
    unit.query_first[i] = unit.query_end[i] = 0;
    if (place + i >= last_place) continue;
    const Positions seen = seen_by_row(arguments, (place + i) / group);
    if (seen.first >= seen.end) continue;
    unit.query_first[i] = static_cast<std::int32_t>(seen.first);
    unit.query_end[i] = static_cast<std::int32_t>(seen.end);
    unit.first = smaller(unit.first, seen.first);
    unit.end = larger(unit.end, seen.end);
  }
  fill_queries(block, unit, last_place);
  for (std::int64_t i = 0; i < unit.tiles * padded_width * tile_queries; i += 16) {
    _mm512_store_ps(unit.sums + i, _mm512_setzero_ps());
  }
  ++block.count;
}

template <AttentionCache type>
void run_units(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end, float* scratch) {
  const PromptUnits units = prompt_units(arguments);
  Block block;
  block.arguments = &arguments;
  block.plan = prompt_scratch(arguments.width);
  block.scratch = reinterpret_cast<std::uint8_t*>((reinterpret_cast<std::uintptr_t>(scratch) + 63) / 64 * 64);
  block.count = 0;
  for (std::int64_t unit = unit_begin; unit < unit_end; ++unit) {
    const std::int64_t kv_head = unit / units.per_head;
    if (block.count > 0 && (block.kv_head != kv_head || block.count == block.plan.block_units)) {
      run_block<type>(block, units.total_queries);
    }
    block.kv_head = kv_head;
    const std::int64_t place = unit_place(unit % units.per_head, units.per_head) * units.queries;
    add_unit(block, place, smaller(place + units.queries, units.total_queries));
  }
  if (block.count > 0) run_block<type>(block, units.total_queries);
}

}  // namespace

void attention_prompt_amx(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                          float* scratch) {
  if (unit_begin >= unit_end) return;
  __asm__ volatile("ldtilecfg %0" : : "m"(tile_configuration));
  switch (arguments.cache) {
    case AttentionCache::f32:
      run_units<AttentionCache::f32>(arguments, unit_begin, unit_end, scratch);
      break;
    case AttentionCache::f16:
      run_units<AttentionCache::f16>(arguments, unit_begin, unit_end, scratch);
      break;
    case AttentionCache::bf16:
      run_units<AttentionCache::bf16>(arguments, unit_begin, unit_end, scratch);
      break;
    case AttentionCache::q8_0:
      run_units<AttentionCache::q8_0>(arguments, unit_begin, unit_end, scratch);
      break;
  }
  __asm__ volatile("tilerelease");
}

}  // namespace lazuli
