// SPDX-License-Identifier: MIT
// A reduction along any axis gives the bits that it gives along the last one.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <algorithm>
#include <cstring>

namespace lazuli {
namespace {

constexpr DType dtypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16,  DType::i8,
                            DType::u16, DType::i32, DType::u64,  DType::bool_};

struct Case {
  Shape shape;
  Dims axes;
};

// Few and many rows, one lane more and less, several tiles of columns with a remainder, planes before and between.
const Case cases[] = {
    {{2, 16}, {0}},          {{3, 17}, {0}},        {{15, 40}, {0}},       {{16, 256}, {0}},
    {{17, 257}, {0}},        {{301, 517}, {0}},     {{5, 33, 130}, {1}},   {{5, 33, 130}, {0}},
    {{5, 33, 130}, {0, 1}},  {{3, 2, 35, 48}, {2}}, {{3, 4, 35, 48}, {1}}, {{3, 4, 35, 48}, {0, 2}},
    {{4, 1, 3, 20}, {1, 2}},
};

std::vector<Array> reductions(const Array& x, const Dims& axes) {
  std::vector<Array> results = {any(x, axes), all(x, axes, true)};
  if (x.dtype() == DType::bool_) return results;
  for (const auto reduce : {+[](const Array& a, Dims d) { return sum(a, std::move(d)); },
                            +[](const Array& a, Dims d) { return prod(a, std::move(d), true); },
                            +[](const Array& a, Dims d) { return max(a, std::move(d)); },
                            +[](const Array& a, Dims d) { return min(a, std::move(d), true); }})
    results.push_back(reduce(x, axes));
  if (is_real(x.dtype())) results.push_back(mean(x, axes));
  return results;
}

// The axes that stay, then the others; element after element in memory.
Array with_axes_last(Session& session, const Array& x, const Dims& axes) {
  Dims permutation;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis)
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) permutation.push_back(axis);
  permutation.insert(permutation.end(), axes.begin(), axes.end());
  const Array moved = transpose(x, permutation);
  session.eval({moved});
  Shape shape(moved.shape().begin(), moved.shape().end() - static_cast<std::ptrdiff_t>(axes.size()));
  shape.push_back(-1);
  return reshape(moved, shape);
}

void expect_same_bits(const Array& a, const Array& b, const std::string& where) {
  ASSERT_EQ(a.type().bytes(), b.type().bytes()) << where;
  EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<std::size_t>(a.type().bytes())), 0) << where;
}

Session session_of(int threads, Isa isa) {
  SessionOptions options;
  options.threads = threads;
  options.isa = isa;
  options.verify = true;
  return Session(options);
}

TEST(ColumnReduction, GivesTheBitsOfTheLastAxis) {
  const std::vector<Isa> isas = test::usable_isas();
  for (const Isa isa : isas)
    for (const int threads : {1, 3}) {
      Session session = session_of(threads, isa);
      // Kernels of all dtypes at one level, of one dtype at all levels: most of the time goes into making them.
      const bool with_all = isa == isas.back() && threads == 3;
      for (const DType dtype : with_all ? std::span(dtypes) : std::span(dtypes).first(1))
        for (const auto& [shape, axes] : cases) {
          const Type type{dtype, shape};
          const Array x = Array::from(test::random_buffer(type, 7), type);
          const Array moved = with_axes_last(session, x, axes);
          const std::vector<Array> found = reductions(x, axes), expected = reductions(moved, {-1});
          session.eval(found);
          session.eval(expected);
          for (std::size_t i = 0; i < found.size(); ++i)
            expect_same_bits(found[i], expected[i],
                             to_string(type) + " over " + to_string(axes) + ", result " + std::to_string(i) + ", " +
                                 std::string(to_string(isa)) + ", " + std::to_string(threads) + " threads");
        }
    }
}

TEST(ColumnReduction, OfWhatIsNotANumberIsNotANumber) {
  Session session = session_of(2, test::usable_isas().back());
  std::vector<float> values(20 * 32, 1.0f);
  values[5 * 32 + 3] = std::numeric_limits<float>::quiet_NaN();
  const Array x = Array::from(values, {20, 32});
  for (const Array& result : {sum(x, {0}), max(x, {0}), min(x, {0})}) {
    session.eval({result});
    const auto found = result.data<float>();
    for (int column = 0; column < 32; ++column)
      EXPECT_EQ(std::isnan(found[static_cast<std::size_t>(column)]), column == 3) << column;
  }
}

TEST(ColumnReduction, SumsOfNegativeZeroKeepTheirSign) {
  Session session = session_of(1, test::usable_isas().back());
  const Array x = Array::from(std::vector<float>(3 * 16, -0.0f), {3, 16});
  const Array total = sum(x, {0});
  session.eval({total});
  for (int column = 0; column < 16; ++column)
    EXPECT_TRUE(std::signbit(total.data<float>()[static_cast<std::size_t>(column)]));
}

// A slice of the columns lies in memory as the rows of a wider array do.
TEST(ColumnReduction, ReadsAPartOfWiderRows) {
  Session session = session_of(2, test::usable_isas().back());
  const Type type{DType::f32, {70, 300}};
  const Array x = Array::from(test::random_buffer(type, 3), type);
  const Array part = slice(x, {3, 11}, {69, 211});
  const Array found = sum(part, {0}), expected = sum(with_axes_last(session, part, {0}), {-1});
  session.eval({found, expected});
  expect_same_bits(found, expected, "slice");
}

}  // namespace
}  // namespace lazuli
