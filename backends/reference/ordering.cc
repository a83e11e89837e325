// SPDX-License-Identifier: MIT
// Ops along an axis whose order counts: argmin, sorting, cumulative ones.
#include <lazuli/backends/reference/kernels.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lazuli::reference {
namespace {

// Ascending, and NaN behind all numbers.
bool stands_before(const Tensor& x, std::int64_t a, std::int64_t b) {
  if (!is_real(x.dtype()))
    return as_stored(x.dtype(), [](auto left, auto right) { return left < right; }, x.integer(a), x.integer(b));
  return x.real(a) < x.real(b) || (!std::isnan(x.real(a)) && std::isnan(x.real(b)));
}

// Calls visit(outer, inner, positions) for each row along the axis, in the order the row is sorted to.
template <class Visit>
void for_each_sorted(const Tensor& x, const AroundAxis& around, Visit visit) {
  std::vector<std::int64_t> positions(static_cast<std::size_t>(around.size));
  for (std::int64_t o = 0; o < around.outer; ++o)
    for (std::int64_t i = 0; i < around.inner; ++i) {
      std::iota(positions.begin(), positions.end(), 0);
      const auto before = [&](std::int64_t a, std::int64_t b) {
        const std::int64_t left = around.element(o, a, i), right = around.element(o, b, i);
        return stands_before(x, left, right) || (!stands_before(x, right, left) && a < b);
      };
      std::sort(positions.begin(), positions.end(), before);
      visit(o, i, positions);
    }
}

// What stands in front of the elements of a row.
struct Start {
  double real;
  std::int64_t integer;
};

template <class Number, class Read, class Write, class Combine>
void accumulate(const Call& call, Number start, Read read, Write write, Combine combine) {
  const auto& [axis, reverse, exclusive] = call.as<CumulativeAttrs>();
  const AroundAxis around(call.operand(0).shape(), axis);
  for (std::int64_t o = 0; o < around.outer; ++o)
    for (std::int64_t i = 0; i < around.inner; ++i) {
      Number total = start;
      for (std::int64_t step = 0; step < around.size; ++step) {
        const std::int64_t element = around.element(o, reverse ? around.size - 1 - step : step, i);
        const Number next = combine(total, read(element));
        write(element, exclusive ? total : next);
        total = next;
      }
    }
}

template <class Combine>
void cumulative(const Call& call, Start start, Combine combine) {
  const Tensor &x = call.operand(0), &result = call.result();
  if (is_real(x.dtype()))
    return accumulate(
        call, start.real, [&](std::int64_t i) { return x.real(i); },
        [&](std::int64_t i, double value) { result.set_real(i, value); }, combine);
  accumulate(
      call, start.integer, [&](std::int64_t i) { return x.integer(i); },
      [&](std::int64_t i, std::int64_t value) { result.set_integer(i, value); }, combine);
}

// Unsigned arithmetic wraps around, signed must not.
std::int64_t wrapped(std::uint64_t bits) { return static_cast<std::int64_t>(bits); }
struct Plus {
  double operator()(double a, double b) const { return a + b; }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const {
    return wrapped(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  }
};
struct Times {
  double operator()(double a, double b) const { return a * b; }
  std::int64_t operator()(std::int64_t a, std::int64_t b) const {
    return wrapped(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  }
};

// The least and the largest integer of the dtype.
std::pair<std::int64_t, std::int64_t> range_of(DType dtype) {
  const int bits = 8 * info(dtype).block_bytes;
  if (dtype == DType::u64) return {0, -1};  // its bits
  if (is_unsigned_integer(dtype)) return {0, (std::int64_t{1} << bits) - 1};
  const std::int64_t largest = std::numeric_limits<std::int64_t>::max() >> (64 - bits);
  return {-largest - 1, largest};
}

constexpr double infinity = std::numeric_limits<double>::infinity();

// x where it wins against the best so far.
template <class Wins>
double pick(DType, Wins wins, double x, double best) {
  return wins(x, best) ? x : best;
}
template <class Wins>
std::int64_t pick(DType dtype, Wins wins, std::int64_t x, std::int64_t best) {
  return as_stored(dtype, wins, x, best) ? x : best;
}

}  // namespace

void argmin(const Call& call) {
  const Tensor& x = call.operand(0);
  const AroundAxis around(x.shape(), call.as<AxisAttrs>().axis);
  const auto is_nan = [&](std::int64_t element) { return is_real(x.dtype()) && std::isnan(x.real(element)); };
  for_each_sorted(x, around, [&](std::int64_t o, std::int64_t i, const std::vector<std::int64_t>& positions) {
    // NaN comes last, the first one first, but wins as in min.
    const auto found =
        std::ranges::find_if(positions, [&](std::int64_t position) { return is_nan(around.element(o, position, i)); });
    call.result().set_integer(o * around.inner + i, found == positions.end() ? positions[0] : *found);
  });
}

void argsort(const Call& call) {
  const Tensor& x = call.operand(0);
  const AroundAxis around(x.shape(), call.as<AxisAttrs>().axis);
  for_each_sorted(x, around, [&](std::int64_t o, std::int64_t i, const std::vector<std::int64_t>& positions) {
    for (std::int64_t rank = 0; rank < around.size; ++rank)
      call.result().set_integer(around.element(o, rank, i), positions[static_cast<std::size_t>(rank)]);
  });
}

void sort(const Call& call) {
  const Tensor& x = call.operand(0);
  const AroundAxis around(x.shape(), call.as<AxisAttrs>().axis);
  for_each_sorted(x, around, [&](std::int64_t o, std::int64_t i, const std::vector<std::int64_t>& positions) {
    for (std::int64_t rank = 0; rank < around.size; ++rank)
      std::copy_n(x.at(around.element(o, positions[static_cast<std::size_t>(rank)], i)), x.element_bytes(),
                  call.result().at(around.element(o, rank, i)));
  });
}

void cumsum(const Call& call) { cumulative(call, {0, 0}, Plus()); }
void cumprod(const Call& call) { cumulative(call, {1, 1}, Times()); }
void cummax(const Call& call) {
  const DType dtype = call.result().dtype();
  const auto wins = [](auto x, auto best) { return x > best || x != x; };
  cumulative(call, {-infinity, range_of(dtype).first}, [&](auto best, auto x) { return pick(dtype, wins, x, best); });
}
void cummin(const Call& call) {
  const DType dtype = call.result().dtype();
  const auto wins = [](auto x, auto best) { return x < best || x != x; };
  cumulative(call, {infinity, range_of(dtype).second}, [&](auto best, auto x) { return pick(dtype, wins, x, best); });
}

}  // namespace lazuli::reference
