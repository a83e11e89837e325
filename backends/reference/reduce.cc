// SPDX-License-Identifier: MIT
// Reductions, and the ops that order elements along an axis.
#include <lazuli/backends/reference/kernels.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lazuli::reference {
namespace {

// Strides that send every index of the operand to its element of the result: 0 along reduced axes.
Dims reduced_strides(const Shape& operand, const Dims& axes) {
  Shape kept = operand;
  for (std::int64_t axis : axes) kept[static_cast<std::size_t>(axis)] = 1;
  return broadcast_strides(kept, operand);
}

// Folds in row-major order: totals[r] = combine(totals[r], x), where the first element of r is taken as it is.
template <class Number, class Read, class Combine>
std::vector<Number> fold(const Call& call, Read read, Combine combine) {
  const Tensor& x = call.operand(0);
  const auto results = static_cast<std::size_t>(call.result().elements());
  std::vector<Number> totals(results);
  std::vector<bool> started(results);
  const std::array<Dims, 1> strides = {reduced_strides(x.shape(), call.as<ReduceAttrs>().axes)};
  for_each_index(x.shape(), strides, [&](std::int64_t i, const auto& offsets) {
    const auto r = static_cast<std::size_t>(offsets[0]);
    totals[r] = started[r] ? combine(totals[r], read(x, i)) : read(x, i);
    started[r] = true;
  });
  return totals;
}

double read_real(const Tensor& x, std::int64_t i) { return x.real(i); }
std::uint64_t read_bits(const Tensor& x, std::int64_t i) { return static_cast<std::uint64_t>(x.integer(i)); }
std::int64_t read_integer(const Tensor& x, std::int64_t i) { return x.integer(i); }

void write(const Tensor& result, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) result.set_real(static_cast<std::int64_t>(i), values[i]);
}
template <class Integer>
void write(const Tensor& result, const std::vector<Integer>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    result.set_integer(static_cast<std::int64_t>(i), static_cast<std::int64_t>(values[i]));
}

bool is_nan(double x) { return std::isnan(x); }
bool is_nan(std::int64_t) { return false; }
bool is_nan(std::uint64_t) { return false; }

// NaN wins, as in maximum and minimum.
template <class Better>
void extreme(const Call& call, Better better) {
  const auto choose = [&](auto best, auto x) { return better(x, best) || is_nan(x) ? x : best; };
  if (is_real(call.result().dtype()))
    write(call.result(), fold<double>(call, read_real, choose));
  else if (call.result().dtype() == DType::u64)
    write(call.result(), fold<std::uint64_t>(call, read_bits, choose));
  else
    write(call.result(), fold<std::int64_t>(call, read_integer, choose));
}

// Positions of one row along an axis, largest value first; of equals the first first. NaN is above every number.
class Ranking {
 public:
  Ranking(const Tensor& x, const AroundAxis& around)
      : x_(x), around_(around), order_(static_cast<std::size_t>(around.size)) {}

  const std::vector<std::int64_t>& best(std::int64_t outer, std::int64_t inner, std::int64_t count) {
    std::iota(order_.begin(), order_.end(), 0);
    const auto before = [&](std::int64_t a, std::int64_t b) {
      const std::int64_t left = around_.element(outer, a, inner), right = around_.element(outer, b, inner);
      if (greater(left, right)) return true;
      return !greater(right, left) && a < b;
    };
    std::partial_sort(order_.begin(), order_.begin() + count, order_.end(), before);
    return order_;
  }

 private:
  bool greater(std::int64_t a, std::int64_t b) const {
    if (!is_real(x_.dtype()))
      return as_stored(x_.dtype(), [](auto left, auto right) { return left > right; }, x_.integer(a), x_.integer(b));
    return x_.real(a) > x_.real(b) || (std::isnan(x_.real(a)) && !std::isnan(x_.real(b)));
  }

  const Tensor& x_;
  const AroundAxis& around_;
  std::vector<std::int64_t> order_;
};

}  // namespace

void sum(const Call& call) {
  if (is_real(call.result().dtype()))
    write(call.result(), fold<double>(call, read_real, std::plus<>()));
  else
    write(call.result(), fold<std::uint64_t>(call, read_bits, std::plus<>()));
}

void mean(const Call& call) {
  std::vector<double> totals = fold<double>(call, read_real, std::plus<>());
  const auto count = static_cast<double>(call.operand(0).elements()) / static_cast<double>(totals.size());
  for (double& total : totals) total /= count;
  write(call.result(), totals);
}

void max(const Call& call) {
  extreme(call, [](auto a, auto b) { return a > b; });
}
void min(const Call& call) {
  extreme(call, [](auto a, auto b) { return a < b; });
}

void prod(const Call& call) {
  if (is_real(call.result().dtype()))
    write(call.result(), fold<double>(call, read_real, std::multiplies<>()));
  else
    write(call.result(), fold<std::uint64_t>(call, read_bits, std::multiplies<>()));
}

void any(const Call& call) { write(call.result(), fold<std::int64_t>(call, read_integer, std::bit_or<>())); }
void all(const Call& call) { write(call.result(), fold<std::int64_t>(call, read_integer, std::bit_and<>())); }

void argmax(const Call& call) {
  const AroundAxis around(call.operand(0).shape(), call.as<AxisAttrs>().axis);
  Ranking ranking(call.operand(0), around);
  for (std::int64_t o = 0; o < around.outer; ++o)
    for (std::int64_t i = 0; i < around.inner; ++i)
      call.result().set_integer(o * around.inner + i, ranking.best(o, i, 1)[0]);
}

void top_k(const Call& call) {
  const Tensor &x = call.operand(0), &values = call.result(0), &indices = call.result(1);
  const std::int64_t k = call.as<TopKAttrs>().k;
  const AroundAxis around(x.shape(), static_cast<std::int64_t>(x.shape().size()) - 1);
  Ranking ranking(x, around);
  for (std::int64_t row = 0; row < around.outer; ++row) {
    const std::vector<std::int64_t>& order = ranking.best(row, 0, k);
    for (std::int64_t rank = 0; rank < k; ++rank) {
      const std::int64_t position = order[static_cast<std::size_t>(rank)];
      indices.set_integer(row * k + rank, position);
      std::copy_n(x.at(around.element(row, position, 0)), x.element_bytes(), values.at(row * k + rank));
    }
  }
}

}  // namespace lazuli::reference
