// SPDX-License-Identifier: MIT
#include <fmt/ranges.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/attention.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/ops_parts.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace lazuli {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct Sizes {
  std::int64_t batch, heads, queries, width, kv_heads, keys, value_width;
};

Sizes sizes_of(const Array& q, const Array& k, const Array& v) {
  const auto found = [&] {
    return fmt::format("q {}, k {}, v {}", to_string(q.type()), to_string(k.type()), to_string(v.type()));
  };
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4)
    fail("scaled_dot_product_attention: expected q [B, N, T, d], k [B, M, S, d], v [B, M, S, e], found {}", found());
  const Sizes s{q.size(0), q.size(1), q.size(2), q.size(3), k.size(1), k.size(2), v.size(3)};
  if (k.size(0) != s.batch || v.size(0) != s.batch || k.size(3) != s.width || v.size(1) != s.kv_heads ||
      v.size(2) != s.keys)
    fail("scaled_dot_product_attention: expected q [B, N, T, d], k [B, M, S, d], v [B, M, S, e], found {}", found());
  if (s.kv_heads == 0 || s.heads % s.kv_heads != 0)
    fail("scaled_dot_product_attention: expected a multiple of k's heads for q's, found {}", found());
  if (!is_real(q.dtype()) || k.dtype() != q.dtype() || v.dtype() != q.dtype())
    fail("scaled_dot_product_attention: expected one real dtype, found {}", found());
  return s;
}

// [N], as it meets scores [B, N, T, S].
Array of_heads(const Array& values, const Sizes& s, const char* what) {
  if (values.shape() != Shape{s.heads})
    fail("scaled_dot_product_attention: {}: expected [{}], one for each head of q, found {}", what, s.heads,
         to_string(values.type()));
  return reshape(values, {s.heads, 1, 1});
}

// j - (i + S - T), i32 [T, S]: at most 0 where a causal query sees a key.
Array distances(const Sizes& s) {
  const Array last_seen = expand_dims(iota(s.queries), 1) + static_cast<int>(s.keys - s.queries);
  return iota(s.keys) - last_seen;
}

// The softmax of rows that may see nothing, with the sink's score among the terms of its sum.
Array softmax_with(const Array& scores, const Array* sink) {
  // Of a row without keys the maximum is -inf: from a finite one its exponentials are 0 instead of NaN.
  Array largest = maximum(max(scores, {-1}, /*keep_dims=*/true), -largest_finite(scores.dtype()));
  if (sink) largest = maximum(largest, *sink);
  const Array exponentials = exp(scores - largest);
  Array total = sum(exponentials, {-1}, /*keep_dims=*/true);
  // In a row that sees something the largest term is 1, so that the second maximum changes nothing there.
  total = sink ? total + exp(*sink - largest) : maximum(total, 1.0f);
  return exponentials / total;
}

Array masked(Array scores, const AttentionOptions& options, const Sizes& s) {
  if (options.alibi_slopes.defined())
    scores = scores + of_heads(options.alibi_slopes, s, "alibi_slopes") * cast(distances(s), scores.dtype());
  if (options.mask.defined() && options.mask.dtype() != DType::bool_) scores = scores + options.mask;
  if (options.mask.defined() && options.mask.dtype() == DType::bool_) scores = select(options.mask, scores, -infinity);
  if (options.causal) scores = select(less_equal(distances(s), 0), scores, -infinity);
  return scores;
}

void check_rope(const char* name, const Array& x, const Shape& positions, const Shape& expected) {
  if (x.rank() != 3 || x.size(2) % 2 != 0)
    fail("{}: expected x [T, heads, d] with an even d, found {}", name, to_string(x.type()));
  if (positions != expected)
    fail("{}: expected positions {}, found {}", name, to_string(expected), to_string(positions));
}

// theta[t, j] = position scale base^(-2j / d), [T, pairs]. `positions` f32 or f64 [T, 1] or [T, pairs].
Array angles(const Array& positions, std::int64_t pairs, std::int64_t width, const RopeAttrs& attrs) {
  const Array exponents = iota(pairs, positions.dtype()) * (-2.0 / static_cast<double>(width));
  return positions * scalar(attrs.scale, positions.dtype()) * pow(scalar(attrs.base, positions.dtype()), exponents);
}

// What angles of x are computed in: of 16 bits, they would lose the position.
DType angle_dtype(const Array& x) { return x.dtype() == DType::f64 ? DType::f64 : DType::f32; }

}  // namespace

Array scaled_dot_product_attention(const Array& q, const Array& k, const Array& v, const AttentionOptions& options) {
  const Sizes s = sizes_of(q, k, v);
  if (options.mask.defined() && options.mask.dtype() != DType::bool_ && options.mask.dtype() != q.dtype())
    fail("scaled_dot_product_attention: expected a mask of bool or {}, found {}", to_string(q.dtype()),
         to_string(options.mask.type()));
  if (!(options.softcap >= 0))
    fail("scaled_dot_product_attention: expected a softcap of 0 or more, found {}", options.softcap);
  // The heads that share keys become rows of one product.
  const std::int64_t rows = s.heads / s.kv_heads * s.queries;
  const Array grouped = reshape(q, {s.batch, s.kv_heads, rows, s.width});
  Array scores = matmul(grouped, swap_axes(k, 2, 3));
  scores = reshape(scores, {s.batch, s.heads, s.queries, s.keys});
  scores = scores * options.scale.value_or(1 / std::sqrt(static_cast<double>(s.width)));
  if (options.softcap > 0) scores = softcap(scores, options.softcap);
  scores = masked(scores, options, s);

  const bool may_see_nothing = options.mask.defined() || (options.causal && s.queries > s.keys);
  Array weights;
  if (options.sinks.defined()) {
    const Array sinks = of_heads(options.sinks, s, "sinks");
    weights = softmax_with(scores, &sinks);
  } else {
    weights = may_see_nothing ? softmax_with(scores, nullptr) : softmax(scores);
  }
  const Array mixed = matmul(reshape(weights, {s.batch, s.kv_heads, rows, s.keys}), v);
  return reshape(mixed, {s.batch, s.heads, s.queries, s.value_width});
}

Array rope_interleaved(const Array& x, const Array& positions, const RopeAttrs& attrs) {
  const std::int64_t width = x.rank() == 3 ? x.size(2) : 0;
  check_rope("rope_interleaved", x, positions.shape(), {x.rank() > 0 ? x.size(0) : 0});
  const std::int64_t pairs = attrs.rotated_pairs == 0 ? width / 2 : attrs.rotated_pairs;
  if (pairs < 0 || pairs > width / 2)
    fail("rope_interleaved: expected 0 to {} rotated pairs, found {}", width / 2, pairs);
  const Array theta = expand_dims(angles(expand_dims(cast(positions, angle_dtype(x)), 1), pairs, width, attrs), 1);
  const Array by_pair = reshape(slice_axis(x, 2, 0, 2 * pairs), {x.size(0), x.size(1), pairs, 2});
  const Array first = index(by_pair, 3, 0), second = index(by_pair, 3, 1);
  const Array cosine = cast(cos(theta), x.dtype()), sine = cast(sin(theta), x.dtype());
  const Array turned = stack({first * cosine - second * sine, second * cosine + first * sine}, 3);
  const Array joined = reshape(turned, {x.size(0), x.size(1), 2 * pairs});
  return 2 * pairs == width ? joined : concatenate({joined, slice_axis(x, 2, 2 * pairs, width)}, 2);
}

Array rope_sections(const Array& x, const Array& positions, const std::vector<std::int64_t>& sections,
                    const RopeAttrs& attrs) {
  const std::int64_t count = positions.rank() == 2 ? positions.size(0) : 1;
  check_rope("rope_sections", x, positions.shape(), {count, x.rank() > 0 ? x.size(0) : 0});
  const std::int64_t width = x.size(2), half = width / 2;
  if (count == 0 || sections.empty() || std::accumulate(sections.begin(), sections.end(), std::int64_t{0}) != half)
    fail("rope_sections: expected positions and sections of {} pairs in all, found {} positions and {}", half, count,
         fmt::join(sections, " + "));
  std::vector<Array> of_pairs;
  const Array by_token = cast(positions, angle_dtype(x));
  for (std::size_t i = 0; i < sections.size(); ++i) {
    if (sections[i] < 0) fail("rope_sections: expected lengths of sections, found {}", sections[i]);
    const Array position = index(by_token, 0, static_cast<std::int64_t>(i) % count);
    of_pairs.push_back(broadcast_to(expand_dims(position, 1), {x.size(0), sections[i]}));
  }
  const Array theta = expand_dims(angles(concatenate(of_pairs, 1), half, width, attrs), 1);
  const Array low = slice_axis(x, 2, 0, half), high = slice_axis(x, 2, half, width);
  const Array cosine = cast(cos(theta), x.dtype()), sine = cast(sin(theta), x.dtype());
  return concatenate({low * cosine - high * sine, high * cosine + low * sine}, 2);
}

}  // namespace lazuli
