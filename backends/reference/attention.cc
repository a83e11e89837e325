// SPDX-License-Identifier: MIT
// Attention of query rows over a cache of keys and values (Vaswani et al. 2017, section 3.2.1), with grouped heads.
#include <lazuli/backends/reference/kernels.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lazuli::reference {
namespace {

// Positions of keys, begin <= key < end.
struct KeyRange {
  std::int64_t begin, end;
};

// A key position lives in row (position mod capacity), so only the last `capacity` positions are still there.
KeyRange visible_keys(std::int64_t position, std::int64_t length, std::int64_t capacity, std::int64_t window) {
  const std::int64_t oldest = std::max<std::int64_t>(0, length - capacity);
  return {window > 0 ? std::max(oldest, position - window + 1) : oldest, std::min(length, position + 1)};
}

// exp(s - max) / sum
void normalise(std::vector<double>& scores) {
  double largest = -std::numeric_limits<double>::infinity(), total = 0;
  for (double score : scores) largest = std::max(largest, score);
  for (double& score : scores) total += score = std::exp(score - largest);
  for (double& score : scores) score /= total;
}

}  // namespace

void attention(const Call& call) {
  const Tensor &q = call.operand(0), &cache = call.operand(1), &result = call.result();
  const std::vector<double> k = real_values(cache), v = real_values(call.operand(2));
  const auto& attrs = call.as<AttentionAttrs>();
  const std::int64_t heads = q.size(1), width = q.size(2), capacity = cache.size(0), kv_heads = cache.size(1);
  const std::int64_t length = call.operand(4).integer(0);
  const auto cached = [&](std::int64_t key, std::int64_t kv_head) {
    return static_cast<std::size_t>((key % capacity * kv_heads + kv_head) * width);
  };
  std::vector<double> weights, total(static_cast<std::size_t>(width));
  for (std::int64_t vector = 0; vector < q.size(0) * heads; ++vector) {
    const std::int64_t kv_head = vector % heads / (heads / kv_heads);
    const KeyRange keys = visible_keys(call.operand(3).integer(vector / heads), length, capacity, attrs.window);
    weights.clear();
    for (std::int64_t key = keys.begin; key < keys.end; ++key) {
      double product = 0;
      for (std::int64_t i = 0; i < width; ++i)
        product += q.real(vector * width + i) * k[cached(key, kv_head) + static_cast<std::size_t>(i)];
      weights.push_back(product * attrs.scale.value);
    }
    normalise(weights);
    std::fill(total.begin(), total.end(), 0.0);
    for (std::int64_t key = keys.begin; key < keys.end; ++key)
      for (std::int64_t i = 0; i < width; ++i)
        total[static_cast<std::size_t>(i)] +=
            weights[static_cast<std::size_t>(key - keys.begin)] * v[cached(key, kv_head) + static_cast<std::size_t>(i)];
    for (std::int64_t i = 0; i < width; ++i) result.set_real(vector * width + i, total[static_cast<std::size_t>(i)]);
  }
}

}  // namespace lazuli::reference
