// SPDX-License-Identifier: MIT
// pad, and elements and slices read from and written to places, against loops.
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/expect_elements.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace lazuli {
namespace {

using test::at;
using test::counting;
using test::error_of;
using test::expect_elements;
using test::numbers;
using test::values_of;

// numpy.pad's definition, walked step by step.
std::int64_t walked(std::int64_t i, std::int64_t size, PadMode mode) {
  if (mode == PadMode::edge) return std::clamp<std::int64_t>(i, 0, size - 1);
  while (i < 0 || i >= size) {
    if (mode == PadMode::wrap)
      i += i < 0 ? size : -size;
    else if (mode == PadMode::symmetric)
      i = i < 0 ? -1 - i : 2 * size - 1 - i;
    else if (size == 1)
      i = 0;
    else
      i = i < 0 ? -i : 2 * size - 2 - i;
  }
  return i;
}

TEST(Pad, ModesOfEveryDtype) {
  Session session;
  for (DType dtype : test::plain_dtypes())
    for (const PadMode mode : {PadMode::edge, PadMode::reflect, PadMode::symmetric, PadMode::wrap})
      for (const Array& x :
           {counting(dtype, {3, 5}), transpose(counting(dtype, {5, 3}), {1, 0}), counting(dtype, {1, 4})}) {
        const std::vector<double> values = values_of(x);
        const std::int64_t rows = x.size(0), columns = x.size(1);
        for (const PadWidth width : {PadWidth{2, 1}, PadWidth{0, 4}, PadWidth{11, 13}})
          expect_elements(pad(x, {{1, 2}, width}, mode), {dtype, {rows + 3, columns + width.before + width.after}},
                          [&](const Dims& i) {
                            return at(values, x.shape(),
                                      {walked(i[0] - 1, rows, mode), walked(i[1] - width.before, columns, mode)});
                          });
      }
}

TEST(Pad, ConstantValuesAreNumbersOrArrays) {
  Session session;
  const Array x = counting(DType::bf16, {2, 3});
  const std::vector<double> values = values_of(x);
  const auto padded = [&](double value) {
    return [&, value](const Dims& i) {
      const bool inside = i[0] >= 1 && i[0] < 3 && i[1] >= 1 && i[1] < 4;
      return inside ? at(values, x.shape(), {i[0] - 1, i[1] - 1}) : value;
    };
  };
  expect_elements(pad(x, {{1, 1}}), {DType::bf16, {4, 5}}, padded(0));
  expect_elements(pad(x, {{1, 1}}, PadMode::constant, -2.5), {DType::bf16, {4, 5}}, padded(-2.5));
  expect_elements(pad(x, {{1, 1}}, PadMode::constant, counting(DType::bf16, {}) * 7), {DType::bf16, {4, 5}}, padded(7));
  EXPECT_EQ(pad(scalar(3), {}).shape(), Shape{});
  EXPECT_EQ(error_of([&] { pad(x, {{1, 1}, {1, 1}, {1, 1}}); }), "pad: 3 widths given for bf16[2,3], expected 1 or 2");
  EXPECT_EQ(error_of([&] { pad(x, {{1, -1}}); }), "pad: widths 1 and -1 of axis 0 of bf16[2,3], expected 0 or more");
  EXPECT_EQ(error_of([&] { pad(zeros({0}), {{1, 1}}, PadMode::edge); }), "pad: axis 0 of f32[0] is empty");
  EXPECT_EQ(error_of([&] { pad(x, {{1, 1}}, PadMode::constant, zeros({1}, DType::bf16)); }),
            "pad: operand 1 is bf16[1], expected a scalar value");
}

TEST(Take, IndicesOfAnyRankAndFlattened) {
  Session session;
  const Array x = counting(DType::f32, {4, 5, 3});
  const std::vector<double> values = values_of(x);
  const Array indices = numbers(DType::i32, {2, 3}, {4, 0, 2, 2, 1, 4});
  const std::vector<double> chosen = values_of(indices);
  expect_elements(take(x, indices, -2), {DType::f32, {4, 2, 3, 3}}, [&](const Dims& i) {
    const auto row = static_cast<std::int64_t>(at(chosen, {2, 3}, {i[1], i[2]}));
    return at(values, x.shape(), {i[0], row, i[3]});
  });
  expect_elements(take(x, indices), {DType::f32, {2, 3}},
                  [&](const Dims& i) { return values[static_cast<std::size_t>(at(chosen, {2, 3}, i))]; });
}

double reduced(Scatter reduction, double a, double b) {
  switch (reduction) {
    case Scatter::add:
      return a + b;
    case Scatter::multiply:
      return a * b;
    case Scatter::max:
      return std::max(a, b);
    case Scatter::min:
      return std::min(a, b);
    default:
      return b;
  }
}

constexpr Scatter reductions[] = {Scatter::replace, Scatter::add, Scatter::multiply, Scatter::max, Scatter::min};

TEST(Scatter, AlongAnAxisInOrder) {
  Session session;
  for (const Scatter reduction : reductions)
    for (std::int64_t axis : {0, 1, -1}) {
      const Array base = counting(DType::i32, {3, 4, 5});
      Shape shape = base.shape();
      const auto along = static_cast<std::size_t>(axis < 0 ? 2 : axis);
      shape[along] = 7;  // some twice
      const Array indices =
          Array::from(test::random_buffer({DType::i32, shape}, 5, 0, static_cast<double>(base.shape()[along]) - 1),
                      {DType::i32, shape});
      const Array updates = counting(DType::i32, shape) - 40;
      std::vector<double> expected = values_of(base);
      const std::vector<double> places = values_of(indices), written = values_of(updates);
      for (std::size_t i = 0; i < places.size(); ++i) {
        Dims to = test::index_of(static_cast<std::int64_t>(i), shape);
        to[along] = static_cast<std::int64_t>(places[i]);
        double& element = expected[static_cast<std::size_t>((to[0] * 4 + to[1]) * 5 + to[2])];
        element = static_cast<std::int32_t>(static_cast<std::int64_t>(reduced(reduction, element, written[i])));
      }
      EXPECT_EQ(values_of(scatter(base, indices, updates, axis, reduction)), expected);
    }
  const Array base = counting(DType::f16, {3, 2});
  EXPECT_EQ(values_of(scatter(base, numbers(DType::i32, {1, 2}, {2, 0}), 9, 0)),
            (std::vector<double>{1, 9, 3, 4, 9, 6}));
  EXPECT_EQ(
      values_of(scatter(base, numbers(DType::i32, {3, 1}, {1, 1, 0}), numbers(DType::f16, {1}, {2}), 1, Scatter::add)),
      (std::vector<double>{1, 4, 3, 6, 7, 6}));
}

TEST(Scatter, SlicesAndElementsByTuples) {
  Session session;
  const Array base = counting(DType::f32, {4, 3, 2});
  const Array rows = numbers(DType::i32, {3, 1}, {1, 3, 1});
  std::vector<double> expected = values_of(base);
  for (int i = 0; i < 3; ++i)
    for (std::size_t element = 0; element < 6; ++element)
      expected[(i == 1 ? 18 : 6) + element] += static_cast<double>(6 * i) + static_cast<double>(element) + 1;
  EXPECT_EQ(values_of(scatter_nd(base, rows, counting(DType::f32, {3, 3, 2}), Scatter::add)), expected);
  const Array places = numbers(DType::i32, {2, 2, 3}, {0, 0, 0, 3, 2, 1, 0, 0, 0, 1, 1, 1});
  std::vector<double> replaced = values_of(base);
  replaced[23] = 20;
  replaced[0] = 30;
  replaced[9] = 40;
  EXPECT_EQ(values_of(scatter_nd(base, places, numbers(DType::f32, {2, 2}, {10, 20, 30, 40}))), replaced);
  EXPECT_EQ(values_of(gather_nd(base, places)), (std::vector<double>{1, 24, 1, 10}));
  EXPECT_EQ(values_of(gather_nd(base, numbers(DType::i32, {1, 2}, {2, 1}))), (std::vector<double>{15, 16}));
  // Each of the batch has indices of its own.
  EXPECT_EQ(values_of(gather_nd(base, numbers(DType::i32, {4, 1}, {0, 2, 1, 1}), 1)),
            (std::vector<double>{1, 2, 11, 12, 15, 16, 21, 22}));
}

std::vector<std::byte> bytes_of(const Array& x) { return {x.bytes(), x.bytes() + x.type().bytes()}; }

// Sums of floats tell in which order they were made.
TEST(Scatter, ThreadsChangeNoBit) {
  std::map<int, std::vector<std::vector<std::byte>>> results;
  for (const int threads : {1, 3}) {
    SessionOptions options;
    options.threads = threads;
    Session session(options);
    const Type indices{DType::i32, {5000, 7}}, tuples{DType::i32, {40000, 1}};
    const Array along = Array::from(test::random_buffer(indices, 1, 0, 99), indices),
                where = Array::from(test::random_buffer(tuples, 2, 0, 99), tuples);
    for (DType dtype : {DType::f32, DType::bf16}) {
      const Type updates{dtype, {5000, 7}}, elements{dtype, {40000}};
      results[threads].push_back(bytes_of(scatter(
          zeros({100, 7}, dtype), along, Array::from(test::random_buffer(updates, 3), updates), 0, Scatter::add)));
      results[threads].push_back(bytes_of(scatter_nd(
          zeros({100}, dtype), where, Array::from(test::random_buffer(elements, 4), elements), Scatter::add)));
    }
  }
  EXPECT_EQ(results[1], results[3]);
}

TEST(Scatter, WritesIntoADonatedBase) {
  Session session;
  const auto add_one =
      compile([](const std::vector<Array>& x) { return std::vector<Array>{scatter(x[0], x[1], 1.0, 0, Scatter::add)}; },
              {.donate = {0}});
  Array base = counting(DType::f32, {300});
  const std::byte* memory = base.bytes();
  const Array indices = numbers(DType::i32, {4}, {0, 299, 0, 7});
  std::vector<Array> arguments;
  arguments.push_back(std::move(base));
  arguments.push_back(indices);
  const Array result = session.call(add_one, std::move(arguments))[0];
  EXPECT_EQ(result.data<float>()[0], 3);
  EXPECT_EQ(result.data<float>()[7], 9);
  EXPECT_EQ(result.bytes(), memory);
}

TEST(Scatter, SaysWhatIsWrong) {
  Session session;
  const Array base = zeros({3, 4}), indices = numbers(DType::i32, {1, 2}, {0, 4});
  EXPECT_EQ(error_of([&] { scatter(base, indices, 1.0, 0); }),
            "scatter: indices are i32[1,2], base is f32[3,4]; they may differ along axis 0 only");
  EXPECT_EQ(error_of([&] { scatter(base, numbers(DType::i32, {1, 4}, {0, 0, 0, 0}), zeros({2, 4}), 0); }),
            "scatter: updates are f32[2,4], indices i32[1,4]; expected one shape");
  EXPECT_EQ(error_of([&] { scatter(zeros({3}, DType::bool_), numbers(DType::i32, {1}, {0}), 1, 0, Scatter::add); }),
            "scatter: base is bool[3], expected numbers for add");
  EXPECT_EQ(error_of([&] { scatter_nd(base, indices, zeros({2})); }),
            "scatter_nd: updates are f32[2], base is f32[3,4], indices i32[1,2]; expected updates [1]");
  EXPECT_EQ(error_of([&] { gather_nd(base, numbers(DType::i32, {3}, {0, 0, 0})); }),
            "gather_nd: indices are i32[3], operand 0 is f32[3,4]; expected [..., k] with 1 <= k <= 2");
  EXPECT_EQ(error_of([&] { gather_nd(base, numbers(DType::i32, {2, 1}, {0, 0}), 1); }),
            "gather_nd: x is f32[3,4], indices are i32[2,1]; expected 1 axes in common and more behind them");
  const auto fails = [](const Array& x) { return error_of([&] { x.bytes(); }); };
  for (const char* backend : {"cpu", "reference"}) {
    SessionOptions options;
    options.backend = backend;
    Session inner(options);
    EXPECT_NE(fails(gather_nd(base, indices)).find("index 4 at position 1 is outside [0, 4)"), std::string::npos);
    EXPECT_NE(fails(scatter_nd(base, indices, zeros({1}))).find("index 4 at position 1 is outside [0, 4)"),
              std::string::npos);
    EXPECT_NE(fails(scatter(zeros({3}), numbers(DType::i32, {2}, {1, -1}), 1.0, 0))
                  .find("index -1 at position 1 is outside [0, 3)"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace lazuli
