// SPDX-License-Identifier: MIT
// matmul of vectors, its relatives, and einsum, against loops over all letters.
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/expect_elements.h>

#include <map>

namespace lazuli {
namespace {

using test::at;
using test::counting;
using test::error_of;
using test::expect_elements;
using test::values_of;

// Small whole numbers: sums are exact in f32.
Array small(DType dtype, Shape shape) {
  const Type type{dtype, std::move(shape)};
  static std::uint32_t seed = 0;
  const BufferRef whole = test::random_buffer({DType::i32, type.shape}, ++seed, 0, 3);
  return Array::from(test::buffer_of(type, test::values_of({DType::i32, type.shape}, *whole)), type);
}

// Of letters alone, "..." spelled out by the caller.
void expect_einsum(const Array& result, const std::vector<std::string>& subscripts, const std::string& output,
                   const std::vector<Array>& operands) {
  std::map<char, std::int64_t> sizes;
  std::vector<std::vector<double>> values;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    values.push_back(values_of(operands[i]));
    for (std::size_t axis = 0; axis < subscripts[i].size(); ++axis) {
      std::int64_t& size = sizes[subscripts[i][axis]];
      size = std::max(size, operands[i].shape()[axis]);
    }
  }
  std::string summed;
  Shape shape, summed_sizes;
  for (char letter : output) shape.push_back(sizes[letter]);
  for (const auto& [letter, size] : sizes)
    if (output.find(letter) == std::string::npos) {
      summed += letter;
      summed_sizes.push_back(size);
    }
  expect_elements(result, {operands[0].dtype(), shape}, [&](const Dims& index) {
    double total = 0;
    for (std::int64_t inner = 0; inner < element_count(summed_sizes); ++inner) {
      const Dims rest = test::index_of(inner, summed_sizes);
      double product = 1;
      for (std::size_t i = 0; i < operands.size(); ++i) {
        Dims place;
        for (std::size_t axis = 0; axis < subscripts[i].size(); ++axis) {
          const std::size_t found = output.find(subscripts[i][axis]);
          const std::int64_t position =
              found != std::string::npos ? index[found] : rest[summed.find(subscripts[i][axis])];
          place.push_back(operands[i].shape()[axis] == 1 ? 0 : position);
        }
        product *= at(values[i], operands[i].shape(), place);
      }
      total += product;
    }
    return total;
  });
}

TEST(Products, MatmulOfVectorsAndBatches) {
  Session session;
  for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Array row = small(dtype, {7}), matrix = small(dtype, {7, 5}), left = small(dtype, {3, 7}),
                batch = small(dtype, {2, 7, 5}), wide = small(dtype, {4, 1, 3, 7}), column = small(dtype, {5});
    expect_einsum(matmul(row, row), {"k", "k"}, "", {row, row});
    expect_einsum(matmul(row, matrix), {"k", "kn"}, "n", {row, matrix});
    expect_einsum(matmul(left, row), {"mk", "k"}, "m", {left, row});
    expect_einsum(matmul(row, batch), {"k", "bkn"}, "bn", {row, batch});
    expect_einsum(matmul(batch, column), {"bmk", "k"}, "bm", {batch, column});
    expect_einsum(matmul(wide, batch), {"abmk", "bkn"}, "abmn", {wide, batch});
  }
  EXPECT_EQ(error_of([] { matmul(zeros({3}), zeros({4})); }),
            "matmul: inner sizes differ: f32[1,3] and f32[4,1]; expected [..., M, K] and [..., K, N]");
}

TEST(Products, InnerOuterAndTensordot) {
  Session session;
  for (DType dtype : {DType::f32, DType::i32, DType::u8, DType::i64}) {
    const Array a = small(dtype, {2, 3, 4}), b = small(dtype, {5, 4}), c = small(dtype, {3, 4, 5}),
                d = small(dtype, {4, 2, 6});
    expect_einsum(inner(a, b), {"xyk", "zk"}, "xyz", {a, b});
    EXPECT_EQ(values_of(inner(a, scalar(2, dtype))), values_of(a * 2));
    expect_einsum(outer(reshape(b, {20}), reshape(a, {24})), {"i", "j"}, "ij", {reshape(b, {20}), reshape(a, {24})});
    EXPECT_EQ(outer(a, b).shape(), (Shape{24, 20}));
    expect_einsum(vecdot(a, a), {"xyk", "xyk"}, "xy", {a, a});
    expect_einsum(vecdot(a, slice_axis(a, 0, 0, 1), 1), {"xky", "wky"}, "xy", {a, slice_axis(a, 0, 0, 1)});
    expect_einsum(tensordot(a, c), {"xij", "ijy"}, "xy", {a, c});
    expect_einsum(tensordot(a, c, 0), {"xyz", "uvw"}, "xyzuvw", {a, c});
    expect_einsum(tensordot(a, d, {0, -1}, {1, 0}), {"ixj", "jiy"}, "xy", {a, d});
    EXPECT_EQ(tensordot(a, a, 3).shape(), Shape{}) << "all of both";
  }
  const Array a = zeros({2, 3}), b = zeros({4, 2});
  EXPECT_EQ(error_of([&] { tensordot(a, b, {1}, {1}); }),
            "tensordot: axis 1 of f32[2,3] and axis 1 of f32[4,2] meet; expected one size");
  EXPECT_EQ(error_of([&] { tensordot(a, b, {0, 0}, {1, 1}); }), "tensordot: axes [0,0] and [1,1] name one axis twice");
  EXPECT_EQ(error_of([&] { tensordot(a, b, 3); }), "tensordot: 3 axes of f32[2,3] and f32[4,2], expected 0 to 2");
  EXPECT_EQ(error_of([&] { inner(a, iota(3)); }), "inner: dtypes differ: f32[2,3] and i32[3]; cast one of them");
}

TEST(Products, Addmm) {
  Session session;
  const Array a = small(DType::f32, {3, 7}), b = small(DType::f32, {7, 5}), c = small(DType::f32, {5});
  const std::vector<double> product = values_of(matmul(a, b)), added = values_of(c);
  expect_elements(addmm(c, a, b), {DType::f32, {3, 5}},
                  [&](const Dims& i) { return at(product, {3, 5}, i) + added[static_cast<std::size_t>(i[1])]; });
  expect_elements(addmm(c, a, b, 2, -0.5), {DType::f32, {3, 5}}, [&](const Dims& i) {
    return 2 * at(product, {3, 5}, i) - 0.5 * added[static_cast<std::size_t>(i[1])];
  });
}

TEST(Einsum, OneOperand) {
  Session session;
  for (DType dtype : {DType::f32, DType::f16, DType::i32, DType::i8}) {
    const Array x = small(dtype, {3, 4, 3}), square = small(dtype, {4, 4});
    expect_einsum(einsum("ijk->kji", {x}), {"ijk"}, "kji", {x});
    expect_einsum(einsum("ijk->j", {x}), {"ijk"}, "j", {x});
    expect_einsum(einsum("ijk->", {x}), {"ijk"}, "", {x});
    expect_einsum(einsum("bca", {x}), {"bca"}, "abc", {x});
    expect_einsum(einsum("iji->ij", {x}), {"iji"}, "ij", {x});
    expect_einsum(einsum("ii", {square}), {"ii"}, "", {square});
    expect_einsum(einsum(" i i -> i ", {square}), {"ii"}, "i", {square});
    expect_einsum(einsum("...i->i...", {x}), {"abi"}, "iab", {x});
  }
  EXPECT_EQ(values_of(einsum("iiii->i", {small(DType::f32, {2, 2, 2, 2}) * 0 + 1})), (std::vector<double>{1, 1}));
}

TEST(Einsum, TwoOperands) {
  Session session;
  for (DType dtype : {DType::f32, DType::f16, DType::i32, DType::u8}) {
    const Array a = small(dtype, {3, 7}), b = small(dtype, {7, 5}), batch = small(dtype, {2, 3, 7}),
                heads = small(dtype, {2, 7, 4}), vector = small(dtype, {7});
    expect_einsum(einsum("ij,jk", {a, b}), {"ij", "jk"}, "ik", {a, b});
    expect_einsum(einsum("ij,jk->ki", {a, b}), {"ij", "jk"}, "ki", {a, b});
    expect_einsum(einsum("ij,jk->i", {a, b}), {"ij", "jk"}, "i", {a, b});
    expect_einsum(einsum("ij,j->i", {a, vector}), {"ij", "j"}, "i", {a, vector});
    expect_einsum(einsum("j,jk->k", {vector, b}), {"j", "jk"}, "k", {vector, b});
    expect_einsum(einsum("j,j", {vector, vector}), {"j", "j"}, "", {vector, vector});
    expect_einsum(einsum("j,j->j", {vector, vector}), {"j", "j"}, "j", {vector, vector});
    expect_einsum(einsum("j,k->jk", {vector, vector}), {"j", "k"}, "jk", {vector, vector});
    expect_einsum(einsum("bij,bjk->bik", {batch, heads}), {"bij", "bjk"}, "bik", {batch, heads});
    expect_einsum(einsum("bij,bjk->ikb", {batch, heads}), {"bij", "bjk"}, "ikb", {batch, heads});
    expect_einsum(einsum("bij,bjk->jb", {batch, heads}), {"bij", "bjk"}, "jb", {batch, heads});
    expect_einsum(einsum("...ij,jk->...ik", {batch, b}), {"bij", "jk"}, "bik", {batch, b});
    expect_einsum(einsum("...ij,...jk", {batch, slice_axis(heads, 0, 0, 1)}), {"bij", "bjk"}, "bik",
                  {batch, slice_axis(heads, 0, 0, 1)});
    expect_einsum(einsum("...,...", {batch, vector}), {"bij", "j"}, "bij", {batch, vector});
    EXPECT_EQ(values_of(einsum(",ij->ij", {2, a})), values_of(a * 2));
  }
  EXPECT_EQ(values_of(einsum("ij,jk", {zeros({2, 0}), zeros({0, 3})})), std::vector<double>(6, 0));
  EXPECT_EQ(values_of(einsum("ij->i", {zeros({2, 0})})), std::vector<double>(2, 0));
}

TEST(Einsum, ManyOperands) {
  Session session;
  for (DType dtype : {DType::f32, DType::i32}) {
    const Array a = small(dtype, {2, 3}), b = small(dtype, {3, 4}), c = small(dtype, {4, 5}), d = small(dtype, {5, 2});
    expect_einsum(einsum("ij,jk,kl,lm->im", {a, b, c, d}), {"ij", "jk", "kl", "lm"}, "im", {a, b, c, d});
    expect_einsum(einsum("ij,jk,kl,li->", {a, b, c, d}), {"ij", "jk", "kl", "li"}, "", {a, b, c, d});
    expect_einsum(einsum("ij,kl,jk->li", {a, c, b}), {"ij", "kl", "jk"}, "li", {a, c, b});
    expect_einsum(einsum("ij,ij,ij->j", {a, a, a}), {"ij", "ij", "ij"}, "j", {a, a, a});
  }
  // The two small ones first, whatever the order: the large one is read once, by a matmul.
  const Array wide = small(DType::f32, {50, 40}), vector = small(DType::f32, {40}), row = small(DType::f32, {50});
  const Graph plan = session.plan({einsum("i,ij,j->", {row, wide, vector})});
  for (const GraphNode& node : plan.nodes) EXPECT_TRUE(is_leaf(node.op) || node.type().elements() <= 50);
}

TEST(Einsum, ErrorsNameEquationOperandAndLetter) {
  const Array a = zeros({2, 3}), b = zeros({4, 5});
  const auto fails = [](std::string_view equation, const std::vector<Array>& operands) {
    return error_of([&] { einsum(equation, operands); });
  };
  EXPECT_EQ(fails("ij,jk", {a, b}), "einsum: \"ij,jk\": letter 'j' is 3 in operand 0 and 4 in operand 1");
  EXPECT_EQ(fails("ij,jk", {a}), "einsum: \"ij,jk\": 1 operands given, expected 2");
  EXPECT_EQ(fails("ijk->i", {a}), "einsum: \"ijk->i\": operand 0 is f32[2,3], expected 3 axes for \"ijk\"");
  EXPECT_EQ(fails("i...jk->i", {a}),
            "einsum: \"i...jk->i\": operand 0 is f32[2,3], expected 3 or more axes for \"i...jk\"");
  EXPECT_EQ(fails("ii->i", {a}), "einsum: \"ii->i\": letter 'i' is 2 and 3 in operand 0");
  EXPECT_EQ(fails("ij->ik", {a}), "einsum: \"ij->ik\": letter 'k' of the result is in no operand");
  EXPECT_EQ(fails("ij->ii", {a}), "einsum: \"ij->ii\": letter 'i' stands twice in the result");
  EXPECT_EQ(fails("i.j->i", {a}), "einsum: \"i.j->i\": '.' in \"i.j\"; expected letters and one '...'");
  EXPECT_EQ(fails("...j->j", {a}), "einsum: \"...j->j\": the result has no '...'");
  EXPECT_EQ(fails("...j,...j", {a, b}), "einsum: \"...j,...j\": axis -1 of '...' is 2 in operand 0 and 4 in operand 1");
  EXPECT_EQ(fails("ij,ij", {a, cast(a, DType::f16)}),
            "einsum: \"ij,ij\": operand 1 is f16[2,3], another f32[2,3]; cast one of them");
}

}  // namespace
}  // namespace lazuli
