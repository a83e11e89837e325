// SPDX-License-Identifier: MIT
// Attention of a decode step: positions divide into parts that workers compute by themselves, and what they found is
// put together in ascending order. Bits depend on the parts alone, which are aligned to absolute positions, and not on
// the thread that computed them. A query that sees one part gets the bits that run_units gives it. Private to the
// instruction-set units.
#pragma once

#include <lazuli/backends/cpu/kernels/attention/attention_tiles.h>

namespace lazuli {
namespace {

constexpr int maximum_place = 0, total_place = 1, factor_place = 2;  // in a partial result, behind the padded head

inline float* partial(const AttentionArguments& arguments, const ScratchPlan& plan, float* partials, std::int64_t part,
                      std::int64_t row, std::int64_t head) {
  return partials + ((part * arguments.rows + row) * arguments.heads + head) * partial_floats(plan);
}

template <class V>
void keep_partial(const ScratchPlan& plan, const Query& query, float* to) {
  for (std::int64_t column = 0; column < plan.width; column += lanes) {
    V::store(to + column, V::load(query.sums + column));
  }
  to[plan.width + maximum_place] = query.maximum;
  to[plan.width + total_place] = query.total;
}

// Adds those of the queries [first, last) of a kv head that see positions of [begin, begin + part_keys), and runs the
// block when it is full.
template <class V, class Keep>
void add_part(Block& block, std::int64_t kv_head, std::int64_t first, std::int64_t last, std::int64_t begin,
              Keep keep) {
  const AttentionArguments& arguments = *block.arguments;
  const std::int64_t group = arguments.heads / arguments.kv_heads;
  for (std::int64_t place = first; place < last; ++place) {
    const std::int64_t row = place / group;
    const Positions seen = seen_by_row(arguments, row);
    const Positions here{larger(seen.first, begin), smaller(seen.end, begin + part_keys)};
    if (here.first >= here.end) continue;
    add_query<V>(block, row, kv_head * group + place % group, here);
    if (block.count == block_queries) run_block<V>(block, keep);
  }
}

// Units [unit_begin, unit_end) of part_units are that share of the work there is: the queries of each part, one kv
// head's parts after another's; rounded, so that half of the units are half of it. Where a share has several kv heads,
// they go through the positions together: their rows lie next to each other.
template <class V>
void run_parts(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end, float* partials,
               float* scratch) {
  const Positions parts = live_parts(arguments);
  const std::int64_t live = parts.end - parts.first, queries = queries_of_head(arguments);
  const std::int64_t of_head = live * queries, all = of_head * arguments.kv_heads, units = part_units(arguments);
  const std::int64_t begin = (all * unit_begin + units / 2) / units, end = (all * unit_end + units / 2) / units;
  Block block = empty_block(arguments, scratch);
  for (std::int64_t part = 0; part < live && begin < end; ++part) {
    const auto keep = [&](const Query& query) {
      keep_partial<V>(block.plan, query, partial(arguments, block.plan, partials, part, query.row, query.head));
    };
    for (std::int64_t kv_head = begin / of_head; kv_head <= (end - 1) / of_head; ++kv_head) {
      const std::int64_t before = kv_head * of_head + part * queries;
      add_part<V>(block, kv_head, larger(begin - before, 0), smaller(end - before, queries),
                  (parts.first + part) * part_keys, keep);
    }
    run_block<V>(block, keep);
  }
}

// Writes each part's weight, e^(its maximum - the largest), and returns the total of all.
template <class V>
float weigh_parts(float* partials, std::int64_t stride, std::int64_t count) {
  float maximum = -__builtin_inff();
  for (std::int64_t part = 0; part < count; ++part) {
    const float own = partials[part * stride + maximum_place];
    maximum = own > maximum ? own : maximum;
  }
  // Where every score is -inf, the difference -inf - -inf would be NaN.
  const typename V::Register origin = V::broadcast(maximum == -__builtin_inff() ? 0.0f : maximum);
  float total = 0.0f;
  for (std::int64_t part = 0; part < count; ++part) {
    float* own = partials + part * stride;
    own[factor_place] = V::first(exp_nonpositive<V>(V::subtract(V::broadcast(own[maximum_place]), origin)));
    total += own[total_place] * own[factor_place];
  }
  return total;
}

// The results of the queries [query_begin, query_end), numbered row by row.
template <class V>
void combine_parts(const AttentionArguments& arguments, std::int64_t query_begin, std::int64_t query_end,
                   float* partials) {
  const ScratchPlan plan = scratch_plan(arguments.width);
  const std::int64_t stride = arguments.rows * arguments.heads * partial_floats(plan);
  const std::int64_t first_part = live_parts(arguments).first;
  for (std::int64_t query = query_begin; query < query_end; ++query) {
    const std::int64_t row = query / arguments.heads, head = query % arguments.heads;
    const Positions seen = seen_by_row(arguments, row);
    if (seen.first >= seen.end) {
      clear_result(arguments, row, head);
      continue;
    }
    const std::int64_t first = seen.first / part_keys, count = (seen.end - 1) / part_keys + 1 - first;
    float* own = partial(arguments, plan, partials, first - first_part, row, head);
    Query combined;
    combined.row = row;
    combined.head = head;
    combined.sums = own;  // those of the first part, which have been read when they are written
    combined.total = weigh_parts<V>(own + plan.width, stride, count);
    for (std::int64_t column = 0; column < plan.width; column += lanes) {
      typename V::Register sum = V::multiply(V::load(own + column), V::broadcast(own[plan.width + factor_place]));
      for (std::int64_t part = 1; part < count; ++part) {
        const float* from = own + part * stride;
        sum = V::multiply_add(V::load(from + column), V::broadcast(from[plan.width + factor_place]), sum);
      }
      V::store(own + column, sum);
    }
    finish<V>(arguments, combined);
  }
}

}  // namespace
}  // namespace lazuli
