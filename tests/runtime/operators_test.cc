// SPDX-License-Identifier: MIT
// Operators, indexing and printing of arrays.
#include <gtest/gtest.h>
#include <lazuli/lazuli.h>
#include <lazuli/tests/support/error_of.h>

#include <limits>
#include <sstream>

namespace lazuli {
namespace {

using test::error_of;

template <class T>
std::vector<T> values(const Array& x) {
  const auto data = x.data<T>();
  return {data.begin(), data.end()};
}
std::vector<int> truths(const Array& x) {
  const auto data = x.data<bool>();
  return {data.begin(), data.end()};
}
std::string printed(const Array& x) {
  std::ostringstream out;
  out << x;
  return out.str();
}

class Operators : public testing::Test {
 protected:
  static SessionOptions options() {
    SessionOptions options;
    options.threads = 2;
    options.disk_cache = false;
    return options;
  }
  Session session{options()};
  const Array a = Array::from({1, 2, 3, 4}, {4}), b = Array::from({4, 2, -3, 0}, {4});
};

using Truths = std::vector<int>;
using Integers = std::vector<std::int32_t>;

TEST_F(Operators, Compare) {
  EXPECT_EQ(truths(a == b), Truths({0, 1, 0, 0}));
  EXPECT_EQ(truths(a != b), Truths({1, 0, 1, 1}));
  EXPECT_EQ(truths(a < b), Truths({1, 0, 0, 0}));
  EXPECT_EQ(truths(a <= 2), Truths({1, 1, 0, 0}));
  EXPECT_EQ(truths(2 > a), Truths({1, 0, 0, 0}));
  EXPECT_EQ(truths(a >= b), Truths({0, 1, 1, 1}));
}

TEST_F(Operators, CombineTruths) {
  EXPECT_EQ(truths(a > 1 && a < 4), Truths({0, 1, 1, 0}));
  EXPECT_EQ(truths(a == 1 || a == 4), Truths({1, 0, 0, 1}));
  EXPECT_EQ(truths(!(a > 1)), Truths({1, 0, 0, 0}));
}

TEST_F(Operators, OfBits) {
  EXPECT_EQ(values<std::int32_t>(~a), Integers({-2, -3, -4, -5}));
  EXPECT_EQ(values<std::int32_t>(a & 2), Integers({0, 2, 2, 0}));
  EXPECT_EQ(values<std::int32_t>(a | b), Integers({5, 2, -1, 4}));
  EXPECT_EQ(values<std::int32_t>(a ^ 1), Integers({0, 3, 2, 5}));
  EXPECT_EQ(values<std::int32_t>(a << 1), Integers({2, 4, 6, 8}));
  EXPECT_EQ(values<std::int32_t>(b >> 1), Integers({2, 1, -2, 0}));
  EXPECT_EQ(values<std::int32_t>(b % 3), Integers({1, 2, 0, 0}));
}

TEST_F(Operators, AssignToTheHandle) {
  Array x = a;
  x += 1;
  x *= a;
  x -= b;
  x /= 2;
  EXPECT_EQ(values<std::int32_t>(x), Integers({-1, 2, 7, 10}));
  x %= 4;
  x <<= 2;
  x >>= 1;
  x |= 1;
  x &= 5;
  x ^= 4;
  EXPECT_EQ(values<std::int32_t>(x), Integers({1, 1, 1, 1}));
  EXPECT_EQ(values<std::int32_t>(a), Integers({1, 2, 3, 4}));
}

TEST_F(Operators, Index) {
  const Array x = reshape(iota(24), {2, 3, 4});
  EXPECT_EQ(values<std::int32_t>(x[1][2]), Integers({20, 21, 22, 23}));
  EXPECT_EQ(values<std::int32_t>(x[-1][0]), Integers({12, 13, 14, 15}));
  EXPECT_EQ(x.at({0, 2, 3}).item<int>(), 11);
  EXPECT_EQ(x.at({0, 2, 3}).shape(), Shape());
  EXPECT_EQ(values<std::int32_t>(x.at({Slice{}, 1, Slice{1, 3}})), Integers({5, 6, 17, 18}));
  EXPECT_EQ(values<std::int32_t>(x.at({1, Slice{}, -1})), Integers({15, 19, 23}));
  EXPECT_EQ(values<std::int32_t>(x.at({0, 0, Slice{.step = 3}})), Integers({0, 3}));
  EXPECT_EQ(x.at({Slice{1, 100}, Slice{2, 1}}).shape(), Shape({1, 0, 4}));
  EXPECT_EQ(values<std::int32_t>(x.at({0, 0, Slice{-2}})), Integers({2, 3}));
  EXPECT_EQ(error_of([&] { x[2]; }), "at: position 2 is outside axis 0 of i32[2,3,4], expected -2 to 1");
  EXPECT_EQ(error_of([&] { x.at({0, 0, 0, 0}); }), "at: 4 indices for i32[2,3,4], expected at most 3");
  EXPECT_EQ(error_of([&] { x.at({Slice{0, 2, 0}}); }), "at: step 0 along axis 0, expected another one");
}

// As Python's slices are.
TEST_F(Operators, IndexByAnyStep) {
  constexpr std::int64_t size = 5, left_out = 9, ends[] = {-7, -6, -5, -2, -1, 0, 1, 4, 5, 7, left_out};
  const Array x = iota(size);
  for (std::int64_t step : {-7, -5, -2, -1, 2, 7})
    for (std::int64_t begin : ends)
      for (std::int64_t end : ends) {
        Slice part{.step = step};
        if (begin != left_out) part.begin = begin;
        if (end != left_out) part.end = end;
        const auto from_start = [&](std::int64_t position) { return position < 0 ? position + size : position; };
        const std::int64_t first = part.begin ? from_start(*part.begin)
                                   : step > 0 ? 0
                                              : size - 1,
                           stop = part.end   ? from_start(*part.end)
                                  : step > 0 ? size
                                             : -1;
        Integers expected;
        if (step > 0)
          for (std::int64_t i = std::max<std::int64_t>(first, 0); i < std::min(stop, size); i += step)
            expected.push_back(static_cast<std::int32_t>(i));
        else
          for (std::int64_t i = std::min(first, size - 1); i > std::max<std::int64_t>(stop, -1); i += step)
            expected.push_back(static_cast<std::int32_t>(i));
        EXPECT_EQ(values<std::int32_t>(x.at({part})), expected) << begin << ":" << end << ":" << step;
      }
}

TEST_F(Operators, IndexBackwards) {
  const Array x = reshape(iota(6), {2, 3});
  EXPECT_EQ(values<std::int32_t>(x.at({1, Slice{.step = -1}})), Integers({5, 4, 3}));
  EXPECT_EQ(values<std::int32_t>(x.at({Slice{.step = -1}, Slice{.step = -2}})), Integers({5, 3, 2, 0}));
  EXPECT_EQ(x.at({Slice{0, 1, -1}}).shape(), Shape({0, 3}));
  EXPECT_EQ(zeros({0, 3}).at({Slice{.step = -1}}).shape(), Shape({0, 3}));
  EXPECT_EQ(values<std::int32_t>(iota(3).at({Slice{.step = std::numeric_limits<std::int64_t>::min()}})), Integers({2}));
  EXPECT_EQ(values<std::int32_t>(iota(3).at({Slice{.step = std::numeric_limits<std::int64_t>::max()}})), Integers({0}));
}

TEST_F(Operators, IntegersBeyondDoubles) {
  const std::int64_t wide = (std::int64_t{1} << 60) + 1;
  const std::uint64_t widest = std::numeric_limits<std::uint64_t>::max();
  const Array x = Array::from(std::vector<std::int64_t>{0, 1, -1}, {3});
  EXPECT_EQ(values<std::int64_t>(x + wide), (std::vector<std::int64_t>{wide, wide + 1, wide - 1}));
  EXPECT_EQ(values<std::int64_t>(x * -wide), (std::vector<std::int64_t>{0, -wide, wide}));
  EXPECT_EQ(Array(wide).item<std::int64_t>(), wide);
  EXPECT_EQ(Array(std::numeric_limits<std::int64_t>::min() + 1).item<std::int64_t>(),
            std::numeric_limits<std::int64_t>::min() + 1);
  const Array y = Array::from(std::vector<std::uint64_t>{widest, 5}, {2});
  EXPECT_EQ(truths(y == widest), Truths({1, 0}));
  EXPECT_EQ(values<std::uint64_t>(minimum(y, widest - 1)), (std::vector<std::uint64_t>{widest - 1, 5}));
  EXPECT_EQ(values<std::uint64_t>(y - wide)[1], 5 - static_cast<std::uint64_t>(wide));
  const auto programs = session.statistics().programs;
  EXPECT_EQ(values<std::int64_t>(x + (wide + 2))[0], wide + 2);
  EXPECT_EQ(session.statistics().programs, programs);
  // Folded with a constant, it stays what it is.
  const Array constant = lazuli::constant(Array::from(std::vector<std::int64_t>{1}, {}));
  EXPECT_EQ(values<std::int64_t>(x + (constant + wide))[0], wide + 1);
}

TEST_F(Operators, Print) {
  EXPECT_EQ(printed(Array::from({1, 2, 3, 4}, {2, 2})), "array([[1, 2],\n       [3, 4]], dtype=i32)");
  EXPECT_EQ(printed(Array(0.1f)), "array(0.1, dtype=f32)");
  EXPECT_EQ(printed(Array::from({0.1, 1e300}, {2})), "array([0.1, 1e+300], dtype=f64)");
  EXPECT_EQ(printed(cast(Array::from({0.1f, 2.0f}, {2}), f16)), "array([0.099976, 2], dtype=f16)");
  EXPECT_EQ(printed(a > 2), "array([false, false, true, true], dtype=bool)");
  EXPECT_EQ(printed(iota(1001)), "array([0, 1, 2, ..., 998, 999, 1000], dtype=i32)");
  EXPECT_EQ(printed(reshape(iota(2000), {1000, 2})),
            "array([[0, 1],\n       [2, 3],\n       [4, 5],\n       ...,\n       [1994, 1995],\n       [1996, 1997],\n"
            "       [1998, 1999]], dtype=i32)");
  EXPECT_EQ(printed(reshape(iota(4), {2, 1, 2})), "array([[[0, 1]],\n\n       [[2, 3]]], dtype=i32)");
  EXPECT_EQ(printed(zeros({0, 2})), "array([], dtype=f32)");
  EXPECT_EQ(printed(Array()), "array()");
  EXPECT_EQ(printed(cast(a, i8) << 1), "array([2, 4, 6, 8], dtype=i8)");
}

}  // namespace
}  // namespace lazuli
