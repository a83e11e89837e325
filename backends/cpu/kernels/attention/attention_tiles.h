// SPDX-License-Identifier: MIT
// Attention over tiles of 64 keys with an online softmax (Milakov & Gimelshein 2018; Dao et al. 2022, algorithm 1), for
// any vector type. Private to the instruction-set units, which define V; everything here has internal linkage.
//
// The bits of a query's result must not depend on what shares its block. For each query alone, whatever the block:
//   - tiles are aligned to absolute positions and taken in ascending order; tiles without a visible key are skipped;
//   - a dot product has 16 lanes over the head, folded 8, 4, 2, 1;
//   - weighted values add up key by key in ascending order; keys the query does not see are never added, not even with
//     the weight 0, since 0 * inf and the sign of 0 would show.
//
// V has: Register, of 16 floats; query_block, the most queries of one call of dots; dot_block, the queries times the
// keys of such a call; value_registers, the columns in registers of one accumulation; and the functions used below.
#pragma once

#include <lazuli/backends/cpu/kernels/attention/attention_arguments.h>
#include <lazuli/backends/cpu/kernels/attention/attention_exp.h>
#include <lazuli/backends/cpu/kernels/attention/attention_plan.h>

#include <cstdint>

namespace lazuli {
namespace {

struct F16 {
  std::uint16_t bits;
};
struct Bf16 {
  std::uint16_t bits;
};

// 16 elements of a q8_0 block (graph/dtype.def): its scale, an f16, and their codes. Their product is exact in f32.
struct Q8Lanes {
  const std::uint8_t* scale;
  const std::uint8_t* codes;
};
constexpr int q8_elements = 32, q8_bytes = 34, q8_codes = 2;  // of a block; where its codes begin

inline std::uint16_t scale_bits(Q8Lanes from) { return static_cast<std::uint16_t>(from.scale[0] | from.scale[1] << 8); }

// Stands for a pointer to elements of q8_0 blocks, the first of which begins a block; columns are multiples of 16.
struct Q8Elements {
  const std::uint8_t* blocks;
};
inline Q8Lanes operator+(Q8Elements from, std::int64_t column) {
  const std::uint8_t* block = from.blocks + column / q8_elements * q8_bytes;
  return {block, block + q8_codes + column % q8_elements};
}

// How many vectors from a column on are read together, where the column is a multiple of so many: those of a block have
// one scale, which is converted once.
template <class Elements>
constexpr int vectors_together = 1;
template <>
constexpr int vectors_together<Q8Elements> = q8_elements / lanes;

// Elements that are fetched at once, a cache line of them or a block, and their bytes.
template <class Elements>
constexpr std::int64_t fetched_elements = 64 / sizeof(*Elements());
template <>
constexpr std::int64_t fetched_elements<Q8Elements> = q8_elements;
template <class Elements>
constexpr std::int64_t fetched_bytes = 64;
template <>
constexpr std::int64_t fetched_bytes<Q8Elements> = q8_bytes;

// Vector `number` of those from a column on.
template <class Element>
const Element* vector_of(const Element* from, int number) {
  return from + number * lanes;
}
inline Q8Lanes vector_of(Q8Lanes from, int number) { return {from.scale, from.codes + number * lanes}; }

struct Query {
  std::int64_t row;
  std::int64_t head;
  std::int64_t kv_head;
  std::int64_t first;  // visible positions [first, end)
  std::int64_t end;
  float* values;  // the padded head of q
  float* sums;
  float* scores;
  float maximum;  // of the scores so far
  float total;    // of the probabilities so far, relative to e^maximum
  // In the present tile:
  int tile_first;  // visible keys [tile_first, tile_end)
  int tile_end;
  float rescale;  // e^(old maximum - new maximum)
};

// Queries worked on together, those of one kv head next to each other.
struct Block {
  const AttentionArguments* arguments;
  ScratchPlan plan;
  float* scratch;
  int count;
  Query queries[block_queries];
};

// One kv head's keys and values in a tile, and the queries that see any of them.
struct Tile {
  const AttentionArguments* arguments;
  std::int64_t column;  // of the kv head in a row of the cache
  std::int64_t row;     // of the cache, where key 0 lies
  std::int64_t width;   // of a padded head
  float* keys;
  float* values;
  int first;  // keys that any query sees: [first, end)
  int end;
  int count;
  Query* queries[block_queries];
};

// Calls body.template operator()<n>(index) for consecutive runs of n items, n from Size down through the halves to 1.
template <int Size, class Body>
void in_runs(int index, int count, Body body) {
  for (; index + Size <= count; index += Size) body.template operator()<Size>(index);
  if constexpr (Size > 1) in_runs<Size / 2>(index, count, body);
}

// `count` elements to f32.
template <class V, class Elements>
void widen_vectors(Elements from, std::int64_t count, float* to) {
  for (std::int64_t column = 0; column < count; column += lanes) V::store(to + column, V::load(from + column));
}

// The same for any count, with zeros up to whole vectors.
template <class V, class Element>
void widen(const Element* from, std::int64_t count, float* to) {
  const std::int64_t column = count / lanes * lanes;
  widen_vectors<V>(from, column, to);
  if (column == count) return;
  Element tail[lanes] = {};
  for (std::int64_t i = column; i < count; ++i) tail[i - column] = from[i];
  V::store(to + column, V::load(tail));
}

// The elements of a cache from `offset` on, where a block begins.
template <class Elements>
Elements elements_at(const void* cache, std::int64_t offset) {
  return static_cast<Elements>(cache) + offset;
}
template <>
inline Q8Elements elements_at<Q8Elements>(const void* cache, std::int64_t offset) {
  return {static_cast<const std::uint8_t*>(cache) + offset / q8_elements * q8_bytes};
}

template <class V>
void widen(AttentionCache type, const void* from, std::int64_t offset, std::int64_t count, float* to) {
  switch (type) {
    case AttentionCache::f32:
      return widen<V>(elements_at<const float*>(from, offset), count, to);
    case AttentionCache::f16:
      return widen<V>(elements_at<const F16*>(from, offset), count, to);
    case AttentionCache::bf16:
      return widen<V>(elements_at<const Bf16*>(from, offset), count, to);
    case AttentionCache::q8_0:
      return widen_vectors<V>(elements_at<Q8Elements>(from, offset), count, to);
  }
}

// Of whole blocks.
inline std::int64_t bytes_of(AttentionCache type, std::int64_t elements) {
  if (type == AttentionCache::q8_0) return elements / q8_elements * q8_bytes;
  return elements * (type == AttentionCache::f32 ? 4 : 2);
}

inline const char* address_of(AttentionCache type, const void* from, std::int64_t offset) {
  return static_cast<const char*>(from) + bytes_of(type, offset);
}

// A head's rows lie apart in the cache, and the hardware sees no stream in them: without this, a decode step over 8192
// positions takes 1.2 to 1.6 times as long (Xeon, f16).
inline void prefetch(AttentionCache type, const void* from, std::int64_t offset, std::int64_t count) {
  const char* address = address_of(type, from, offset);
  for (std::int64_t byte = 0; byte < bytes_of(type, count); byte += 64) __builtin_prefetch(address + byte, 0, 2);
}

inline std::int64_t cache_row(const Tile& tile, int key) {
  std::int64_t row = tile.row + key;
  while (row >= tile.arguments->capacity) row -= tile.arguments->capacity;
  return row;
}

// Queries x 16 keys from the tile's key `group` on, whose padded heads lie at `keys`. fetch(key, column) is called once
// for every key of the 16 and every vector of its columns, in between the arithmetic.
template <class V, class Elements, class Fetch>
void score_keys(Tile& tile, int group, const Elements* keys, Fetch fetch) {
  in_runs<V::query_block>(0, tile.count, [&]<int queries>(int index) {
    const float* values[queries];
    for (int i = 0; i < queries; ++i) values[i] = tile.queries[index + i]->values;
    for (int key = 0; key < group_keys; key += V::dot_block / queries) {
      float* scores[queries];
      for (int i = 0; i < queries; ++i) scores[i] = tile.queries[index + i]->scores + group + key;
      const auto fetch_one = [&](int j, std::int64_t column) __attribute__((always_inline)) { fetch(key + j, column); };
      const auto fetch_none = [](int, std::int64_t) {};
      if (index == 0)
        V::template dots<queries>(values, keys + key, tile.width, scores, fetch_one);
      else
        V::template dots<queries>(values, keys + key, tile.width, scores, fetch_none);
    }
  });
}

// Converts the keys of a group first. Those that nobody sees become zeros; their scores are never used.
template <class V>
void score_converted(Tile& tile, int group) {
  const AttentionArguments& arguments = *tile.arguments;
  const float* keys[group_keys];
  for (int key = 0; key < group_keys; ++key) {
    float* to = tile.keys + key * tile.width;
    keys[key] = to;
    if (group + key < tile.first || group + key >= tile.end) {
      for (std::int64_t column = 0; column < tile.width; column += lanes) V::store(to + column, V::broadcast(0.0f));
      continue;
    }
    const std::int64_t row = cache_row(tile, group + key);
    const std::int64_t ahead = cache_row(tile, group + key + tile_keys);
    prefetch(arguments.cache, arguments.v, row * arguments.v_stride + tile.column, arguments.width);
    prefetch(arguments.cache, arguments.k, ahead * arguments.k_stride + tile.column, arguments.width);
    widen<V>(arguments.cache, arguments.k, row * arguments.k_stride + tile.column, arguments.width, to);
  }
  score_keys<V>(tile, group, keys, [](int, std::int64_t) {});
}

// Reads the keys of a group where they lie; in the place of one that nobody sees stands another. Meanwhile their values
// and the keys a tile ahead are fetched, line by line: many lines at once would hold up the loads of the arithmetic.
template <class V, class Elements>
void score_in_place(Tile& tile, int group) {
  constexpr std::int64_t fetched = fetched_elements<Elements>;
  const AttentionArguments& arguments = *tile.arguments;
  Elements keys[group_keys];
  const char *next_keys[group_keys], *values[group_keys];
  for (int key = 0; key < group_keys; ++key) {
    const auto seen = static_cast<int>(smaller(larger(group + key, tile.first), tile.end - 1));
    const std::int64_t row = cache_row(tile, seen), ahead = cache_row(tile, seen + tile_keys);
    keys[key] = elements_at<Elements>(arguments.k, row * arguments.k_stride + tile.column);
    next_keys[key] = address_of(arguments.cache, arguments.k, ahead * arguments.k_stride + tile.column);
    values[key] = address_of(arguments.cache, arguments.v, row * arguments.v_stride + tile.column);
  }
  score_keys<V>(tile, group, keys, [&](int key, std::int64_t column) __attribute__((always_inline)) {
    const std::int64_t into = column % fetched, offset = column / fetched * fetched_bytes<Elements>;
    if (into == 0) __builtin_prefetch(values[key] + offset, 0, 3);
    if (into + lanes == fetched) __builtin_prefetch(next_keys[key] + offset, 0, 3);
  });
}

// Scores to e^(score - maximum), 0 for the keys the query does not see.
template <class V>
void soften(Query& query, float scale) {
  using Register = typename V::Register;
  constexpr int registers = tile_keys / lanes;
  Register scores[registers];
  Register top = V::broadcast(-__builtin_inff());
  for (int i = 0; i < registers; ++i) {
    const Register scaled = V::multiply(V::load(query.scores + i * lanes), V::broadcast(scale));
    scores[i] = V::keep(scaled, query.tile_first - i * lanes, query.tile_end - i * lanes, -__builtin_inff());
    top = V::maximum(scores[i], top);
  }
  const float tile_maximum = V::fold_maximum(top);
  const float maximum = tile_maximum > query.maximum ? tile_maximum : query.maximum;
  // Where every score so far is -inf, the difference -inf - -inf would be NaN.
  const Register origin = V::broadcast(maximum == -__builtin_inff() ? 0.0f : maximum);
  query.rescale = V::first(exp_nonpositive<V>(V::subtract(V::broadcast(query.maximum), origin)));
  for (int i = 0; i < registers; ++i) {
    scores[i] = exp_nonpositive<V>(V::subtract(scores[i], origin));
    V::store(query.scores + i * lanes, scores[i]);
  }
  const float tile_total = V::fold_add(V::add(V::add(scores[0], scores[1]), V::add(scores[2], scores[3])));
  query.total = query.total * query.rescale + tile_total;
  query.maximum = maximum;
}

// sums = sums * rescale + probabilities x values, for `queries` queries and 16 * `registers` columns from `column` on;
// a key's values of these columns lie at values[key] + offset.
template <class V, int queries, int registers, class Elements>
void accumulate(Query* const* query, const Elements* values, std::int64_t offset, std::int64_t column) {
  using Register = typename V::Register;
  Register sums[queries][registers];
  const float* probabilities[queries];
  int first = tile_keys, end = 0;                // seen by any
  int common_first = 0, common_end = tile_keys;  // seen by all
#pragma GCC unroll 4
  for (int i = 0; i < queries; ++i) {
#pragma GCC unroll 4
    for (int c = 0; c < registers; ++c) {
      sums[i][c] = V::multiply(V::load(query[i]->sums + column + c * lanes), V::broadcast(query[i]->rescale));
    }
    probabilities[i] = query[i]->scores;
    first = query[i]->tile_first < first ? query[i]->tile_first : first;
    end = query[i]->tile_end > end ? query[i]->tile_end : end;
    common_first = query[i]->tile_first > common_first ? query[i]->tile_first : common_first;
    common_end = query[i]->tile_end < common_end ? query[i]->tile_end : common_end;
  }
  constexpr int together = registers < vectors_together<Elements> ? registers : vectors_together<Elements>;
  const auto add_key = [&](int i, int key) __attribute__((always_inline)) {
    const Register probability = V::broadcast(probabilities[i][key]);
#pragma GCC unroll 4
    for (int c = 0; c < registers; ++c) {
      const auto from = values[key] + (offset + c / together * together * lanes);
      sums[i][c] = V::multiply_add(probability, V::load(vector_of(from, c % together)), sums[i][c]);
    }
  };
  const auto add_where_seen = [&](int from, int to) __attribute__((always_inline)) {
    for (int key = from; key < to; ++key) {
#pragma GCC unroll 4
      for (int i = 0; i < queries; ++i) {
        if (key >= query[i]->tile_first && key < query[i]->tile_end) add_key(i, key);
      }
    }
  };
  if (common_first > common_end) common_first = common_end = end;
  add_where_seen(first, common_first);
  for (int key = common_first; key < common_end; ++key) {
#pragma GCC unroll 4
    for (int i = 0; i < queries; ++i) add_key(i, key);
  }
  add_where_seen(common_end, end);
#pragma GCC unroll 4
  for (int i = 0; i < queries; ++i) {
#pragma GCC unroll 4
    for (int c = 0; c < registers; ++c) V::store(query[i]->sums + column + c * lanes, sums[i][c]);
  }
}

// The columns [column, column + columns) of the values, which lie at values[key].
template <class V, class Elements>
void weigh_values(Tile& tile, const Elements* values, std::int64_t column, std::int64_t columns) {
  in_runs<4>(0, tile.count, [&]<int queries>(int index) {
    constexpr int wide = V::value_registers;
    std::int64_t done = 0;
    for (; done + wide * lanes <= columns; done += wide * lanes) {
      accumulate<V, queries, wide>(tile.queries + index, values, done, column + done);
    }
    for (; done < columns; done += lanes) accumulate<V, queries, 1>(tile.queries + index, values, done, column + done);
  });
}

// Converts `columns` columns first, at most value_columns.
template <class V>
void weigh_converted(Tile& tile, std::int64_t column, std::int64_t columns) {
  const AttentionArguments& arguments = *tile.arguments;
  const std::int64_t count = smaller(columns, arguments.width - column);
  const float* values[tile_keys];
  for (int key = tile.first; key < tile.end; ++key) {
    const std::int64_t offset = cache_row(tile, key) * arguments.v_stride + tile.column + column;
    widen<V>(arguments.cache, arguments.v, offset, count, tile.values + key * value_columns);
    values[key] = tile.values + key * value_columns;
  }
  weigh_values<V>(tile, values, column, columns);
}

template <class V, class Elements>
void weigh_in_place(Tile& tile) {
  const AttentionArguments& arguments = *tile.arguments;
  Elements values[tile_keys];
  for (int key = tile.first; key < tile.end; ++key) {
    values[key] = elements_at<Elements>(arguments.v, cache_row(tile, key) * arguments.v_stride + tile.column);
  }
  weigh_values<V>(tile, values, 0, tile.width);
}

// The tile from position `begin` on, for the block's queries [first, last), which have one kv head.
inline void enter_tile(Block& block, std::int64_t begin, int first, int last, Tile& tile) {
  tile.arguments = block.arguments;
  tile.column = block.queries[first].kv_head * block.arguments->width;
  tile.row = begin % block.arguments->capacity;
  tile.width = block.plan.width;
  tile.keys = block.scratch + block.plan.keys;
  tile.values = block.scratch + block.plan.values;
  tile.first = tile_keys;
  tile.end = 0;
  tile.count = 0;
  for (int i = first; i < last; ++i) {
    Query& query = block.queries[i];
    query.tile_first = static_cast<int>(smaller(larger(query.first - begin, 0), tile_keys));
    query.tile_end = static_cast<int>(smaller(larger(query.end - begin, 0), tile_keys));
    if (query.tile_first >= query.tile_end) continue;
    tile.queries[tile.count++] = &query;
    tile.first = query.tile_first < tile.first ? query.tile_first : tile.first;
    tile.end = query.tile_end > tile.end ? query.tile_end : tile.end;
  }
}

template <class V>
void soften_all(Tile& tile) {
  for (int i = 0; i < tile.count; ++i) soften<V>(*tile.queries[i], tile.arguments->scale);
}

// Many queries share one conversion of the keys and values.
template <class V>
void run_tile_converted(Tile& tile) {
  for (int group = tile.first / group_keys * group_keys; group < tile.end; group += group_keys) {
    score_converted<V>(tile, group);
  }
  soften_all<V>(tile);
  for (std::int64_t column = 0; column < tile.width; column += value_columns) {
    weigh_converted<V>(tile, column, smaller(value_columns, tile.width - column));
  }
}

// Few queries convert them in registers: the same operations on the same values.
template <class V, class Elements>
void run_tile_in_place(Tile& tile) {
  for (int group = tile.first / group_keys * group_keys; group < tile.end; group += group_keys) {
    score_in_place<V, Elements>(tile, group);
  }
  soften_all<V>(tile);
  weigh_in_place<V, Elements>(tile);
}

template <class V>
void run_tile(Tile& tile) {
  if (tile.count == 0) return;
  if (tile.count > 2 * V::query_block || tile.width != tile.arguments->width) return run_tile_converted<V>(tile);
  switch (tile.arguments->cache) {
    case AttentionCache::f32:
      return run_tile_in_place<V, const float*>(tile);
    case AttentionCache::f16:
      return run_tile_in_place<V, const F16*>(tile);
    case AttentionCache::bf16:
      return run_tile_in_place<V, const Bf16*>(tile);
    case AttentionCache::q8_0:
      return run_tile_in_place<V, Q8Elements>(tile);
  }
}

template <class V>
void finish(const AttentionArguments& arguments, const Query& query) {
  float* out = arguments.out + query.row * arguments.out_stride + query.head * arguments.width;
  const typename V::Register factor = V::broadcast(1.0f / query.total);
  std::int64_t column = 0;
  for (; column + lanes <= arguments.width; column += lanes) {
    V::store(out + column, V::multiply(V::load(query.sums + column), factor));
  }
  if (column == arguments.width) return;
  float tail[lanes];
  V::store(tail, V::multiply(V::load(query.sums + column), factor));
  for (std::int64_t i = column; i < arguments.width; ++i) out[i] = tail[i - column];
}

// The tile is the outer loop and the kv head the inner one: the heads of a row lie next to each other in the cache.
// `finish` takes what has become of each query.
template <class V, class Finish>
void run_block(Block& block, Finish finish) {
  if (block.count == 0) return;
  std::int64_t first = block.queries[0].first, end = block.queries[0].end;
  for (int i = 1; i < block.count; ++i) {
    first = smaller(first, block.queries[i].first);
    end = larger(end, block.queries[i].end);
  }
  for (std::int64_t begin = first / tile_keys * tile_keys; begin < end; begin += tile_keys) {
    for (int index = 0, last = 0; index < block.count; index = last) {
      while (last < block.count && block.queries[last].kv_head == block.queries[index].kv_head) ++last;
      Tile tile;
      enter_tile(block, begin, index, last, tile);
      run_tile<V>(tile);
    }
  }
  for (int i = 0; i < block.count; ++i) finish(block.queries[i]);
  block.count = 0;
}

inline Block empty_block(const AttentionArguments& arguments, float* scratch) {
  const std::uintptr_t line = cache_line_floats * sizeof(float);
  Block block;
  block.arguments = &arguments;
  block.plan = scratch_plan(arguments.width);
  block.scratch = reinterpret_cast<float*>((reinterpret_cast<std::uintptr_t>(scratch) + line - 1) / line * line);
  block.count = 0;
  return block;
}

// Adds a head of a row, which sees `seen`; the block is not full.
template <class V>
void add_query(Block& block, std::int64_t row, std::int64_t head, const Positions& seen) {
  const AttentionArguments& arguments = *block.arguments;
  const int slot = block.count++;
  const std::int64_t width = block.plan.width;
  Query& query = block.queries[slot];
  query.row = row;
  query.head = head;
  query.kv_head = head / (arguments.heads / arguments.kv_heads);
  query.first = seen.first;
  query.end = seen.end;
  query.values = block.scratch + block.plan.queries + slot * width;
  query.sums = block.scratch + block.plan.sums + slot * width;
  query.scores = block.scratch + block.plan.scores + slot * tile_keys;
  query.maximum = -__builtin_inff();
  query.total = 0.0f;
  widen<V>(arguments.q + row * arguments.q_stride + head * arguments.width, arguments.width, query.values);
  for (std::int64_t column = 0; column < width; column += lanes) V::store(query.sums + column, V::broadcast(0.0f));
}

inline void clear_result(const AttentionArguments& arguments, std::int64_t row, std::int64_t head) {
  float* out = arguments.out + row * arguments.out_stride + head * arguments.width;
  for (std::int64_t column = 0; column < arguments.width; ++column) out[column] = 0.0f;
}

template <class V>
void run_units(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end, float* scratch) {
  const UnitPlan units = unit_plan(arguments);
  const std::int64_t group = arguments.heads / arguments.kv_heads;
  const auto finish_query = [&](const Query& query) { finish<V>(arguments, query); };
  Block block = empty_block(arguments, scratch);
  for (std::int64_t unit = unit_begin; unit < unit_end; ++unit) {
    const std::int64_t begin = unit_place(unit % units.per_head, units.per_head) * units.queries;
    const std::int64_t end = smaller(begin + units.queries, units.total_queries);
    for (std::int64_t place = begin; place < end; ++place) {
      const std::int64_t row = place / group, head = unit / units.per_head * group + place % group;
      const Positions seen = seen_by_row(arguments, row);
      if (seen.first < seen.end)
        add_query<V>(block, row, head, seen);
      else
        clear_result(arguments, row, head);
      if (block.count == block_queries) run_block<V>(block, finish_query);
    }
  }
  run_block<V>(block, finish_query);
}

}  // namespace
}  // namespace lazuli
