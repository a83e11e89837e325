// SPDX-License-Identifier: MIT
// Functions that give elements another order, against formulas over the index.
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/expect_elements.h>

#include <algorithm>

namespace lazuli {
namespace {

using test::at;
using test::counting;
using test::error_of;
using test::expect_elements;
using test::values_of;

std::int64_t modulo(std::int64_t value, std::int64_t by) { return ((value % by) + by) % by; }

// x, the same seen through a transpose, and through a slice with a step; its values beside it.
std::vector<Array> layouts(DType dtype) {
  return {counting(dtype, {4, 5, 6}), transpose(counting(dtype, {6, 4, 5}), {1, 2, 0}),
          slice(counting(dtype, {9, 5, 14}), {1, 0, 2}, {9, 5, 14}, {2, 1, 2})};
}

TEST(Rearrange, FlipIsAViewWithNegativeSteps) {
  Session session;
  for (DType dtype : test::plain_dtypes())
    for (const Array& x : layouts(dtype)) {
      const std::vector<double> values = values_of(x);
      for (const Dims& axes : std::vector<Dims>{{0}, {1}, {-1}, {0, 2}, {0, 1, 2}, {}}) {
        const auto flipped = [&](const Dims& i) {
          Dims source = i;
          for (std::int64_t axis : axes) {
            const auto at_axis = static_cast<std::size_t>(axis < 0 ? axis + 3 : axis);
            source[at_axis] = x.shape()[at_axis] - 1 - i[at_axis];
          }
          return at(values, x.shape(), source);
        };
        expect_elements(flip(x, axes), x.type(), flipped);
        expect_elements(flip(flip(x, axes), axes), x.type(), [&](const Dims& i) { return at(values, x.shape(), i); });
      }
      EXPECT_EQ(values_of(reshape(flip(x), {-1})), std::vector<double>(values.rbegin(), values.rend()));
    }
  EXPECT_EQ(flip(counting(DType::f32, {0, 3})).shape(), (Shape{0, 3}));
  EXPECT_EQ(error_of([] { flip(iota(3), {0, -1}); }), "flip: axes [0,-1] name one axis twice");
  // Nothing is copied but into the result.
  const Graph plan = session.plan({flip(counting(DType::f32, {64, 64})) + 1.0});
  EXPECT_EQ(
      std::count_if(plan.nodes.begin(), plan.nodes.end(), [](const GraphNode& node) { return !is_leaf(node.op); }), 1);
}

TEST(Rearrange, SlicesWithNegativeStepsJoin) {
  Session session;
  const Array x = counting(DType::f32, {23, 7});
  const std::vector<double> values = values_of(x);
  const Array down = slice(x, {20, 6}, {-1, 0}, {-3, -2});  // 20, 17, ..., 2; 6, 4, 2
  expect_elements(down, {DType::f32, {7, 3}},
                  [&](const Dims& i) { return at(values, x.shape(), {20 - 3 * i[0], 6 - 2 * i[1]}); });
  expect_elements(slice(down, {5, 0}, {0, 3}, {-2, 1}), {DType::f32, {3, 3}},
                  [&](const Dims& i) { return at(values, x.shape(), {20 - 3 * (5 - 2 * i[0]), 6 - 2 * i[1]}); });
  expect_elements(slice(down, {7, 0}, {7, 3}), {DType::f32, {0, 3}}, [](const Dims&) { return 0; });
  expect_elements(slice(x, {2, 3}, {2, 3}, {-1, -4}), {DType::f32, {0, 0}}, [](const Dims&) { return 0; });
  // What reads strided operands.
  expect_elements(sum(flip(x), {1}), {DType::f32, {23}}, [&](const Dims& i) {
    double total = 0;
    for (std::int64_t column = 0; column < 7; ++column) total += at(values, x.shape(), {22 - i[0], column});
    return total;
  });
  for (const std::int64_t rows : {1, 9}) {
    const Array left = counting(DType::f32, {rows, 23});
    const std::vector<double> factors = values_of(left);
    const auto product = [&](const Dims& i) {
      double total = 0;
      for (std::int64_t k = 0; k < 23; ++k)
        total += at(factors, left.shape(), {rows - 1 - i[0], 22 - k}) * at(values, x.shape(), {22 - k, 6 - i[1]});
      return total;
    };
    expect_elements(matmul(flip(left), flip(x)), {DType::f32, {rows, 7}}, product);
    expect_elements(linear(flip(left), transpose(flip(x), {1, 0})), {DType::f32, {rows, 7}}, product);
  }
  EXPECT_EQ(error_of([&] { slice(x, {23, 0}, {-1, 7}, {-1, 1}); }),
            "slice: [23:-1:-1] is out of range for axis 0 of "
            "f32[23,7]");
  EXPECT_EQ(error_of([&] { slice(x, {0, 0}, {23, 7}, {0, 1}); }),
            "slice: [0:23:0] is out of range for axis 0 of "
            "f32[23,7]");
}

// Rows that are asked for pass a reversal of another axis.
TEST(Rearrange, RowDemandKeepsReversals) {
  SessionOptions options;
  options.verify = true;
  Session session(options);
  const Array x = counting(DType::f32, {8, 6});
  const std::vector<double> values = values_of(x);
  const Array rows = slice(exp(x * 0.01) * 100, {7, 5}, {5, -1}, {-1, -1});
  expect_elements(
      rows, {DType::f32, {2, 6}},
      [&](const Dims& i) { return std::exp(at(values, x.shape(), {7 - i[0], 5 - i[1]}) * 0.01) * 100; }, 1e-5);
  const Array taken = take(exp(x * 0.01), test::numbers(DType::i32, {2, 2}, {3, 0, 1, 3}), 0);
  expect_elements(
      taken, {DType::f32, {2, 2, 6}},
      [&](const Dims& i) {
        const std::int64_t row[2][2] = {{3, 0}, {1, 3}};
        return std::exp(at(values, x.shape(), {row[i[0]][i[1]], i[2]}) * 0.01);
      },
      1e-5);
}

TEST(Rearrange, RollTurnsAxes) {
  Session session;
  for (DType dtype : test::plain_dtypes())
    for (const Array& x : layouts(dtype)) {
      const std::vector<double> values = values_of(x);
      for (const std::int64_t shift : {-7, -1, 0, 2, 5, 6, 23}) {
        expect_elements(roll(x, shift, -1), x.type(),
                        [&](const Dims& i) { return at(values, x.shape(), {i[0], i[1], modulo(i[2] - shift, 6)}); });
        expect_elements(roll(x, shift), x.type(), [&](const Dims& i) {
          return values[static_cast<std::size_t>(modulo(i[0] * 30 + i[1] * 6 + i[2] - shift, 120))];
        });
      }
      expect_elements(roll(x, {1, -2, 1}, {0, 1, 0}), x.type(), [&](const Dims& i) {
        return at(values, x.shape(), {modulo(i[0] - 2, 4), modulo(i[1] + 2, 5), i[2]});
      });
    }
  EXPECT_EQ(roll(zeros({0, 3}), 1, 0).shape(), (Shape{0, 3}));
  EXPECT_EQ(error_of([] { roll(iota(3), Dims{1, 2}, Dims{0}); }),
            "roll: shifts [1,2] and axes [0], expected a shift for each axis");
}

TEST(Rearrange, TileAndRepeat) {
  Session session;
  for (DType dtype : test::plain_dtypes()) {
    const Array x = counting(dtype, {3, 5});
    const std::vector<double> values = values_of(x);
    const auto tiled = [&](const Dims& i) { return at(values, x.shape(), {i[i.size() - 2] % 3, i[i.size() - 1] % 5}); };
    expect_elements(tile(x, {2, 3}), {dtype, {6, 15}}, tiled);
    expect_elements(tile(x, {4}), {dtype, {3, 20}}, tiled);
    expect_elements(tile(x, {2, 1, 2}), {dtype, {2, 3, 10}}, tiled);
    expect_elements(tile(x, {0, 2}), {dtype, {0, 10}}, tiled);
    expect_elements(repeat(x, 3, 0), {dtype, {9, 5}},
                    [&](const Dims& i) { return at(values, x.shape(), {i[0] / 3, i[1]}); });
    expect_elements(repeat(x, 2, -1), {dtype, {3, 10}},
                    [&](const Dims& i) { return at(values, x.shape(), {i[0], i[1] / 2}); });
    expect_elements(repeat(x, 2), {dtype, {30}},
                    [&](const Dims& i) { return values[static_cast<std::size_t>(i[0] / 2)]; });
    EXPECT_EQ(repeat(x, 0, 1).shape(), (Shape{3, 0}));
  }
  EXPECT_EQ(error_of([] { repeat(iota(3), -1, 0); }), "repeat: -1 repeats of i32[3], expected 0 or more");
  EXPECT_EQ(error_of([] { tile(iota(3), {-1}); }), "tile: repetitions [-1] of i32[3], expected 0 or more");
}

TEST(Rearrange, Diagonals) {
  Session session;
  for (DType dtype : test::plain_dtypes())
    for (const Array& x : layouts(dtype)) {
      const std::vector<double> values = values_of(x);
      for (const std::int64_t offset : {-9, -3, -1, 0, 1, 4, 9}) {
        const auto length = [&](std::int64_t rows, std::int64_t columns) {
          return std::max<std::int64_t>(
              0, std::min(rows + std::min<std::int64_t>(offset, 0), columns - std::max<std::int64_t>(offset, 0)));
        };
        const std::int64_t row = std::max<std::int64_t>(-offset, 0), column = std::max<std::int64_t>(offset, 0);
        expect_elements(diagonal(x, offset), {dtype, {6, length(4, 5)}},
                        [&](const Dims& i) { return at(values, x.shape(), {row + i[1], column + i[1], i[0]}); });
        expect_elements(diagonal(x, offset, -1, 0), {dtype, {5, length(6, 4)}},
                        [&](const Dims& i) { return at(values, x.shape(), {column + i[1], i[0], row + i[1]}); });
        if (dtype != DType::f32) continue;
        expect_elements(trace(x, offset, 1, 2), {dtype, {4}}, [&](const Dims& i) {
          double total = 0;
          for (std::int64_t place = 0; place < length(5, 6); ++place)
            total += at(values, x.shape(), {i[0], row + place, column + place});
          return total;
        });
      }
      const Array vector = counting(dtype, {4});
      for (const std::int64_t k : {-2, 0, 3}) {
        const std::int64_t size = 4 + std::max(k, -k);
        expect_elements(diag(vector, k), {dtype, {size, size}}, [&](const Dims& i) {
          return i[1] - i[0] == k ? values_of(vector)[static_cast<std::size_t>(std::min(i[0], i[1]))] : 0;
        });
        EXPECT_EQ(values_of(diag(diag(vector, k), k)), values_of(vector));
      }
    }
  EXPECT_EQ(error_of([] { diagonal(zeros({2, 3}), 0, 1, 1); }), "diagonal: axes [1,1] name one axis twice");
  EXPECT_EQ(error_of([] { diag(zeros({2, 3, 4})); }), "diag: operand is f32[2,3,4], expected [n] or a matrix");
}

TEST(Rearrange, SplitAndUnstack) {
  Session session;
  const Array x = counting(DType::i32, {4, 6});
  const std::vector<double> values = values_of(x);
  const auto expect_part = [&](const Array& part, std::int64_t begin, std::int64_t size) {
    expect_elements(part, {DType::i32, {4, size}},
                    [&](const Dims& i) { return at(values, x.shape(), {i[0], begin + i[1]}); });
  };
  const std::vector<Array> thirds = split(x, 3, -1);
  ASSERT_EQ(thirds.size(), 3u);
  for (std::int64_t part = 0; part < 3; ++part) expect_part(thirds[static_cast<std::size_t>(part)], 2 * part, 2);
  const std::vector<Array> parts = split(x, {1, 5, 5}, 1);
  ASSERT_EQ(parts.size(), 4u);
  expect_part(parts[0], 0, 1);
  expect_part(parts[1], 1, 4);
  expect_part(parts[2], 5, 0);
  expect_part(parts[3], 5, 1);
  EXPECT_EQ(split(x, 2).size(), 2u);
  const std::vector<Array> rows = unstack(x, 0);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(values_of(rows[3]), std::vector<double>(values.end() - 6, values.end()));
  EXPECT_EQ(error_of([&] { split(x, 4, 1); }), "split: 4 equal parts of axis 1 of i32[4,6]; expected a divisor of 6");
  EXPECT_EQ(error_of([&] { split(x, Dims{7}, 1); }), "split: position 7 is outside [0, 6] of axis 1 of i32[4,6]");
}

TEST(Rearrange, Shapes) {
  Session session;
  const Array x = counting(DType::f32, {2, 3, 4, 5});
  const std::vector<double> values = values_of(x);
  EXPECT_EQ(flatten(x).shape(), Shape{120});
  EXPECT_EQ(flatten(x, 1, -2).shape(), (Shape{2, 12, 5}));
  EXPECT_EQ(flatten(x, 2, 2).shape(), x.shape());
  EXPECT_EQ(flatten(scalar(3)).shape(), Shape{1});
  EXPECT_EQ(values_of(flatten(x, 1, 2)), values);
  EXPECT_EQ(error_of([&] { flatten(x, 2, 1); }), "flatten: axes 2 to 1 of f32[2,3,4,5], expected ascending ones");
  EXPECT_EQ(unflatten(x, -2, {2, -1}).shape(), (Shape{2, 3, 2, 2, 5}));
  EXPECT_EQ(error_of([&] { unflatten(x, 1, {2, -1}); }), "unflatten: [2,-1] does not fill axis 1 of f32[2,3,4,5]");
  expect_elements(moveaxis(x, 0, 2), {DType::f32, {3, 4, 2, 5}},
                  [&](const Dims& i) { return at(values, x.shape(), {i[2], i[0], i[1], i[3]}); });
  expect_elements(moveaxis(x, -1, 0), {DType::f32, {5, 2, 3, 4}},
                  [&](const Dims& i) { return at(values, x.shape(), {i[1], i[2], i[3], i[0]}); });
  const Array ones_around = reshape(x, {1, 2, 1, 60, 1});
  EXPECT_EQ(squeeze(ones_around).shape(), (Shape{2, 60}));
  EXPECT_EQ(squeeze(ones_around, {0, -1}).shape(), (Shape{2, 1, 60}));
  EXPECT_EQ(expand_dims(x, {0, -1, 3}).shape(), (Shape{1, 2, 3, 1, 4, 5, 1}));
  EXPECT_EQ(error_of([&] { squeeze(x, {1, 2}); }), "squeeze: axis 2 of f32[2,3,4,5] is not 1");
}

TEST(Rearrange, GridsAndBroadcasts) {
  Session session;
  const Array a = counting(DType::f32, {3}), b = counting(DType::i32, {4}), c = counting(DType::f32, {2});
  const std::vector<Array> image = meshgrid({a, b, c}), matrix = meshgrid({a, b, c}, false, Indexing::ij);
  expect_elements(image[0], {DType::f32, {4, 3, 2}}, [](const Dims& i) { return i[1] + 1; });
  expect_elements(image[1], {DType::i32, {4, 3, 2}}, [](const Dims& i) { return i[0] + 1; });
  expect_elements(matrix[0], {DType::f32, {3, 4, 2}}, [](const Dims& i) { return i[0] + 1; });
  expect_elements(matrix[2], {DType::f32, {3, 4, 2}}, [](const Dims& i) { return i[2] + 1; });
  EXPECT_EQ(meshgrid({a, b}, true)[0].shape(), (Shape{1, 3}));
  EXPECT_EQ(meshgrid({a})[0].shape(), Shape{3});
  const std::vector<Array> both = broadcast_arrays({reshape(a, {3, 1}), b});
  EXPECT_EQ(both[0].shape(), (Shape{3, 4}));
  EXPECT_EQ(both[1].shape(), (Shape{3, 4}));
  EXPECT_EQ(error_of([&] { meshgrid({a, both[0]}); }), "meshgrid: axis 1 is f32[3,4], expected [n]");
}

TEST(Rearrange, AsStridedStaysInside) {
  Session session;
  for (const Array& x : layouts(DType::f32)) {
    const std::vector<double> values = values_of(x);
    expect_elements(as_strided(x, {10, 4}, {3, 1}, 7), {DType::f32, {10, 4}},
                    [&](const Dims& i) { return values[static_cast<std::size_t>(7 + 3 * i[0] + i[1])]; });
    expect_elements(as_strided(x, {2, 3, 5}, {0, -40, 1}, 115) * 0, {DType::f32, {2, 3, 5}},
                    [](const Dims&) { return 0; });
    expect_elements(as_strided(x, {2, 3, 5}, {0, -40, 1}, 115), {DType::f32, {2, 3, 5}},
                    [&](const Dims& i) { return values[static_cast<std::size_t>(115 - 40 * i[1] + i[2])]; });
  }
  const Array x = iota(12);
  EXPECT_EQ(error_of([&] { as_strided(x, {3, 4}, {4, 1}, 1); }),
            "as_strided: shape [3,4], strides [4,1], offset 1 reach outside the 12 elements of i32[12]");
  EXPECT_EQ(error_of([&] { as_strided(x, {3}, {-4}, 7); }),
            "as_strided: shape [3], strides [-4], offset 7 reach outside the 12 elements of i32[12]");
  EXPECT_EQ(error_of([&] { as_strided(x, {std::int64_t{1} << 62}, {1 << 2}); }),
            "as_strided: shape [4611686018427387904], strides [4], offset 0 reach outside the 12 elements of i32[12]");
  EXPECT_EQ(error_of([&] { as_strided(x, {3}, {1, 1}); }),
            "as_strided: shape [3] and strides [1,1] do not match; expected a stride for each size");
}

}  // namespace
}  // namespace lazuli
