// SPDX-License-Identifier: MIT
// The cases of ops_agree_test.cc: graphs that cover every op of ops.def. To cover a new op, add a case to all_cases.
#pragma once

#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/quantisation.h>
#include <lazuli/tests/support/run_reference.h>

#include <functional>
#include <limits>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace lazuli::test {

using Arrays = std::vector<Array>;

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Both backends compute one f32 operation from exact operands and round it correctly.
inline constexpr double exact = 0;
// Functions that are not correctly rounded: some units in the last place of f32.
inline constexpr double few_ulps = 1e-6;
// Sums of up to 2,000 terms of size 2 and products of them: f32 in lanes against the reference's double.
inline constexpr double summed = 2e-5;
// A graph and what its inputs hold; the inputs in `donated` are given up.
struct Problem {
  Graph graph;
  std::vector<BufferRef> inputs;
  std::set<std::size_t> donated;
};

inline Problem problem_of(const Arrays& outputs) {
  Problem problem;
  std::vector<Array> leaves;
  problem.graph = snapshot(outputs, &leaves);
  for (const Array& leaf : leaves) problem.inputs.push_back(leaf.node()->results()[0].buffer);
  return problem;
}

// Makes operands; each differs from those before it.
class Operands {
 public:
  Array operator()(DType dtype, Shape shape, double low = -2, double high = 2) {
    const Type type{dtype, std::move(shape)};
    return Array::from(random_buffer(type, ++seed_, low, high), type);
  }
  Array constant(DType dtype, Shape shape) {
    const Type type{dtype, std::move(shape)};
    return Array::constant(random_buffer(type, ++seed_), type, "weight");
  }
  static Array values(DType dtype, Shape shape, const std::vector<double>& numbers) {
    const Type type{dtype, std::move(shape)};
    return Array::from(buffer_of(type, numbers), type);
  }
  // The ways an operand can lie in memory: sizes with tails, ranks 0 to 4, empty, large enough for several threads;
  // transposed, sliced with a step, broadcast.
  Arrays everywhere(DType dtype, double low = -2, double high = 2) {
    Arrays all;
    for (const Shape& shape : std::vector<Shape>{{},
                                                 {1},
                                                 {15},
                                                 {17},
                                                 {33},
                                                 {1000},
                                                 {0},
                                                 {3, 0},
                                                 {1, 16},
                                                 {16, 1},
                                                 {5, 33},
                                                 {3, 5, 7},
                                                 {2, 3, 4, 5},
                                                 {37, 1000}})
      all.push_back((*this)(dtype, shape, low, high));
    all.push_back(transpose((*this)(dtype, {17, 5}, low, high), {1, 0}));
    all.push_back(transpose((*this)(dtype, {3, 5, 2, 4}, low, high), {2, 0, 3, 1}));
    all.push_back(slice((*this)(dtype, {9, 40}, low, high), {1, 3}, {9, 38}, {3, 2}));
    all.push_back(slice((*this)(dtype, {4, 6, 35}, low, high), {1, 2, 1}, {3, 5, 34}));
    all.push_back(broadcast_to((*this)(dtype, {5, 1}, low, high), {3, 5, 7}));
    all.push_back(broadcast_to((*this)(dtype, {}, low, high), {19}));
    return all;
  }
  // Pairs that broadcast in either direction: whole, rows, columns, scalars, outer products, views.
  std::vector<std::pair<Array, Array>> pairs(DType dtype, double low = -2, double high = 2) {
    std::vector<std::pair<Array, Array>> all;
    const auto add = [&](const Array& a, const Array& b) { all.insert(all.end(), {{a, b}, {b, a}}); };
    const auto make = [&](Shape shape) { return (*this)(dtype, std::move(shape), low, high); };
    for (const Shape& shape : std::vector<Shape>{{}, {1}, {17}, {1000}, {0}, {2, 3, 4, 5}})
      add(make(shape), make(shape));
    add(make({5, 33}), make({33}));
    add(make({5, 33}), make({5, 1}));
    add(make({5, 33}), make({}));
    add(make({5, 1}), make({1, 17}));
    add(make({2, 3, 4, 5}), make({3, 1, 5}));
    add(make({2, 1, 4, 1}), make({3, 1, 5}));
    add(make({37, 1000}), make({37, 1}));
    add(transpose(make({17, 5}), {1, 0}), make({5, 17}));
    add(transpose(make({17, 5}), {1, 0}), slice(make({10, 17}), {0, 0}, {10, 17}, {2, 1}));
    add(broadcast_to(make({5, 1}), {5, 17}), make({17}));
    return all;
  }

 private:
  std::uint32_t seed_ = 0;
};

using Build = std::function<Arrays(Operands& operands, DType dtype)>;

struct Case {
  std::string name;
  std::vector<DType> dtypes;
  // As in max_difference, or for linear as a share of the row's largest. A rounding of the result's dtype is added,
  // unless `exact`.
  double tolerance;
  Build build;
  std::vector<std::size_t> donated = {};
  bool both_precisions = false;
};

inline void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

inline const std::vector<DType> reals = {DType::f32, DType::bf16, DType::f16, DType::f64};
inline const std::vector<DType> reals_32 = {DType::f32, DType::bf16, DType::f16};
inline const std::vector<DType> numbers = {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i8,  DType::u8,
                                           DType::i16, DType::u16,  DType::i32, DType::u32, DType::i64, DType::u64};
inline const std::vector<DType> integers = {DType::i8,  DType::u8,  DType::i16, DType::u16,
                                            DType::i32, DType::u32, DType::i64, DType::u64};
inline const std::vector<DType> plain = {DType::f32, DType::bf16, DType::f16,  DType::f64, DType::i8,
                                         DType::u8,  DType::i16,  DType::u16,  DType::i32, DType::u32,
                                         DType::i64, DType::u64,  DType::bool_};

inline Case unary(std::string name, std::vector<DType> dtypes, double tolerance, Array (*op)(const Array&),
                  double low = -2, double high = 2) {
  return {std::move(name), std::move(dtypes), tolerance, [=](Operands& operands, DType dtype) {
            Arrays outputs;
            for (const Array& x : operands.everywhere(dtype, low, high)) outputs.push_back(op(x));
            return outputs;
          }};
}

inline Case binary(std::string name, std::vector<DType> dtypes, double tolerance,
                   Array (*op)(const Array&, const Array&), double low = -9, double high = 9) {
  return {std::move(name), std::move(dtypes), tolerance, [=](Operands& operands, DType dtype) {
            Arrays outputs;
            for (const auto& [a, b] : operands.pairs(dtype, low, high)) outputs.push_back(op(a, b));
            return outputs;
          }};
}

// Of whole numbers, so that some are equal.
inline Case compare(std::string name, Array (*op)(const Array&, const Array&)) {
  return {std::move(name), plain, exact, [=](Operands& operands, DType dtype) {
            Arrays outputs;
            const bool whole = is_integer(dtype) || dtype == DType::bool_;
            for (const auto& [a, b] : operands.pairs(dtype, -3, 3))
              outputs.push_back(whole ? op(a, b) : op(floor(a), floor(b)));
            return outputs;
          }};
}

inline Case reduction(std::string name, std::vector<DType> dtypes, double tolerance,
                      Array (*op)(const Array&, Dims, bool)) {
  return {std::move(name), std::move(dtypes), tolerance, [=](Operands& operands, DType dtype) {
            const Array x = operands(dtype, {3, 5, 17}), wide = operands(dtype, {2, 3, 4, 33});
            Arrays outputs;
            for (const bool keep_dims : {false, true}) {
              for (const Dims& axes : std::vector<Dims>{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}) {
                outputs.push_back(op(x, axes, keep_dims));
                outputs.push_back(op(transpose(x, {2, 0, 1}), axes, keep_dims));
                outputs.push_back(op(slice(x, {0, 1, 2}, {3, 5, 17}, {2, 1, 3}), axes, keep_dims));
              }
              outputs.push_back(op(wide, {0, 2}, keep_dims));
              outputs.push_back(op(wide, {1, 3}, keep_dims));
            }
            for (std::int64_t size : {1, 15, 16, 17, 33, 1000})
              outputs.push_back(op(operands(dtype, {2, size}), {1}, false));
            outputs.push_back(op(operands(dtype, {64, 1000}), {-1}, true));
            outputs.push_back(op(operands(dtype, {0, 5}), {1}, false));
            outputs.push_back(op(broadcast_to(operands(dtype, {5, 1}), {5, 40}), {1}, false));
            outputs.push_back(op(broadcast_to(operands(dtype, {40}), {5, 40}), {0}, false));
            return outputs;
          }};
}

// Of every two dimensions, and of batches.
inline Arrays matmuls(Operands& operands, DType dtype) {
  const auto make = [&](Shape shape) { return operands(dtype, std::move(shape)); };
  Arrays outputs;
  for (std::int64_t m : {1, 3, 17})
    for (std::int64_t n : {1, 5, 33}) {
      outputs.push_back(matmul(make({m, 15}), make({15, n})));
      outputs.push_back(matmul(make({m, 15}), transpose(make({n, 15}), {1, 0})));
      outputs.push_back(matmul(transpose(make({15, m}), {1, 0}), make({15, n})));
    }
  outputs.push_back(matmul(make({1, 1}), make({1, 1})));
  outputs.push_back(matmul(make({64, 100}), make({100, 70})));
  outputs.push_back(matmul(make({4, 3, 7}), make({4, 7, 5})));
  outputs.push_back(matmul(make({4, 3, 7}), make({7, 5})));
  outputs.push_back(matmul(make({3, 7}), make({4, 7, 5})));
  outputs.push_back(matmul(make({2, 1, 3, 7}), make({4, 7, 5})));
  outputs.push_back(matmul(make({4, 3, 7}), transpose(make({7, 5, 4}), {2, 0, 1})));
  outputs.push_back(matmul(make({4, 3, 7}), transpose(make({5, 4, 7}), {1, 2, 0})));
  outputs.push_back(matmul(transpose(make({3, 4, 7}), {1, 0, 2}), transpose(make({4, 5, 7}), {0, 2, 1})));
  outputs.push_back(matmul(make({3, 7}), slice(make({9, 12}), {0, 2}, {7, 12}, {1, 2})));
  outputs.push_back(matmul(make({3, 7}), slice(make({9, 12}), {1, 2}, {8, 12})));
  outputs.push_back(matmul(make({3, 7}), broadcast_to(make({7, 1}), {7, 5})));
  outputs.push_back(matmul(make({3, 7}), broadcast_to(make({5}), {7, 5})));
  outputs.push_back(matmul(make({3, 0}), make({0, 5})));
  outputs.push_back(matmul(make({0, 3}), make({3, 5})));
  return outputs;
}

inline Arrays linears(Operands& operands, DType dtype) {
  Arrays outputs;
  const Array x = operands(dtype, {33, 512});
  for (const DTypeInfo& weight : all_dtypes()) {
    if (weight.kind != DTypeKind::real && weight.kind != DTypeKind::quantised) continue;
    if (weight.dtype == DType::f64 && dtype != DType::f64) continue;
    const Array w = operands.constant(weight.dtype, {37, 256});
    // Overlapping windows of one operand, with the same first element.
    outputs.push_back(linear(slice(x, {0, 0}, {1, 256}), w));
    outputs.push_back(linear(slice(x, {0, 0}, {3, 512}), operands.constant(weight.dtype, {17, 512})));
    outputs.push_back(linear(reshape(x, {66, 256}), w));
    outputs.push_back(linear(operands(dtype, {2, 3, 256}), w));
    outputs.push_back(linear(transpose(operands(dtype, {256, 5}), {1, 0}), w));
    outputs.push_back(linear(operands(dtype, {256}), w));
    outputs.push_back(linear(operands(dtype, {0, 256}), w));
    outputs.push_back(linear(operands(dtype, {9, 0}), operands.constant(weight.dtype, {17, 0})));
    if (weight.kind == DTypeKind::real)
      outputs.push_back(linear(operands(dtype, {5, 19}), operands(weight.dtype, {7, 19})));
    else
      for (const Shape& rows : {Shape{1, 256}, Shape{7, 256}, Shape{2, 3, 256}, Shape{0, 256}})
        outputs.push_back(linear(operands(dtype, rows), operands(weight.dtype, {37, 256})));
  }
  outputs.push_back(linear(operands(dtype, {5, 19}), transpose(operands(dtype, {19, 7}), {1, 0})));
  outputs.push_back(linear(operands(dtype, {3, 0}), operands(DType::f32, {4, 0})));
  outputs.push_back(linear(operands(dtype, {3, 5}), operands(DType::f32, {0, 5})));
  return outputs;
}

inline Arrays takes(Operands& operands, DType dtype) {
  const auto indices = [](const std::vector<double>& rows) {
    return Operands::values(DType::i32, {static_cast<std::int64_t>(rows.size())}, rows);
  };
  const Array x = operands(dtype, {5, 7, 17});
  Arrays outputs;
  for (std::int64_t axis : {0, 1, 2}) {
    outputs.push_back(take(x, indices({3, 0, 3, 4}), axis));
    outputs.push_back(take(x, Operands::values(DType::i32, {}, {2}), axis));
    outputs.push_back(take(x, indices({}), axis));
  }
  outputs.push_back(take(transpose(x, {2, 0, 1}), indices({16, 1}), 0));
  outputs.push_back(take(x, slice(indices({1, 9, 4, 9}), {0}, {4}, {2}), 0));
  outputs.push_back(take(operands.constant(dtype, {9, 33}), indices({8, 8, 0}), 0));
  const Array table = Operands::values(DType::i32, {2, 1, 3}, {4, 0, 1, 1, 3, 4});
  for (std::int64_t axis : {0, 1, 2}) outputs.push_back(take(x, table, axis));
  outputs.push_back(take(x, broadcast_to(table, {2, 5, 3}), 1));
  outputs.push_back(take(operands(dtype, {300, 40}), operands(DType::i32, {20, 50}, 0, 299), 0));
  return outputs;
}

inline Arrays quantised_takes(Operands& operands, DType) {
  Arrays outputs;
  for (const DTypeInfo& table : all_dtypes())
    if (table.kind == DTypeKind::quantised)
      for (const Array& rows : {Operands::values(DType::i32, {3}, {18, 0, 18}), Operands::values(DType::i32, {}, {17}),
                                Operands::values(DType::i32, {2, 2}, {1, 18, 0, 5})})
        outputs.push_back(take_rows(operands.constant(table.dtype, {19, 256}), rows));
  return outputs;
}

// Every dtype that is encoded to, of rows however they lie; the blocks are compared by what they stand for.
inline Arrays quantisations(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const DTypeInfo& type : all_dtypes()) {
    if (type.kind != DTypeKind::quantised || !has_quantiser(type.dtype)) continue;
    for (const Shape& shape :
         {Shape{0, 256}, Shape{1, 256}, Shape{3, 256}, Shape{7, 512}, Shape{256}, Shape{3, 0}, Shape{2, 3, 256}})
      outputs.push_back(quantise(operands(dtype, shape), type.dtype));
    outputs.push_back(quantise(transpose(operands(dtype, {256, 3}), {1, 0}), type.dtype));
    outputs.push_back(quantise(slice(operands(dtype, {5, 600}), {1, 3}, {5, 515}, {2, 2}), type.dtype));
    outputs.push_back(quantise(broadcast_to(operands(dtype, {1, 256}), {3, 256}), type.dtype));
  }
  outputs.push_back(quantise(operands(dtype, {300, 512}), DType::q8_0));
  outputs.push_back(quantise(operands(dtype, {3, 40'960}), DType::q8_0));
  return outputs;
}
inline Arrays dequantisations(Operands& operands, DType) {
  Arrays outputs;
  for (const DTypeInfo& type : all_dtypes()) {
    if (type.kind != DTypeKind::quantised) continue;
    for (const Shape& shape :
         {Shape{0, 256}, Shape{1, 256}, Shape{3, 256}, Shape{7, 512}, Shape{256}, Shape{3, 0}, Shape{2, 3, 256}})
      outputs.push_back(dequantise(operands(type.dtype, shape)));
    outputs.push_back(dequantise(operands.constant(type.dtype, {3, 256}), DType::f16));
    outputs.push_back(dequantise(operands(type.dtype, {2, 256}), DType::f64));
  }
  outputs.push_back(dequantise(operands(DType::q8_0, {300, 512})));
  outputs.push_back(dequantise(operands(DType::q8_0, {3, 40'960})));
  return outputs;
}

inline Arrays slice_updates(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const bool ring : {false, true})
    for (const double start : {0.0, 2.0, 4.0, 7.0, 13.0})
      for (std::int64_t axis : {0, 1, 2}) {
        const Array base = operands(dtype, {5, 6, 7});
        Shape shape = base.shape();
        shape[static_cast<std::size_t>(axis)] = 3;
        const Array first = Operands::values(DType::i32, {}, {start});
        outputs.push_back(slice_update(base, operands(dtype, shape), first, axis, ring));
      }
  const Array base = operands(dtype, {4, 6});
  const Array update = slice_update(base, transpose(operands(dtype, {6, 2}), {1, 0}), 1, 0);
  outputs.push_back(update);
  outputs.push_back(slice_update(transpose(base, {1, 0}), operands(dtype, {1, 4}), 5, 0));
  outputs.push_back(slice_update(broadcast_to(operands(dtype, {1, 6}), {4, 6}), operands(dtype, {2, 6}), 2, 0));
  return outputs;
}

// Rows are encoded as they are written: the same bits on both sides.
inline Arrays encoding_updates(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const DTypeInfo& type : all_dtypes()) {
    if (type.kind != DTypeKind::quantised || !has_quantiser(type.dtype)) continue;
    for (const bool ring : {false, true})
      for (const double start : {0.0, 4.0, 13.0}) {
        const Array first = Operands::values(DType::i32, {}, {start});
        outputs.push_back(
            slice_update(operands(type.dtype, {5, 2, 256}), operands(dtype, {3, 2, 256}), first, 0, ring));
        outputs.push_back(
            slice_update(operands(type.dtype, {2, 5, 256}), operands(dtype, {2, 3, 256}), first, 1, ring));
      }
    const Array base = operands(type.dtype, {4, 256}), rows = transpose(operands(dtype, {256, 2}), {1, 0});
    const Array updated = slice_update(base, rows, 1, 0);
    outputs.insert(outputs.end(), {base, updated, take_rows(updated, Operands::values(DType::i32, {3}, {2, 0, 2}))});
  }
  return outputs;
}
inline Arrays donated_encoding_update(Operands& operands, DType dtype) {
  const Array base = operands(DType::q8_0, {40, 2, 64});
  const Array once = slice_update(base, operands(dtype, {3, 2, 64}), 2, 0);
  return {slice_update(once, operands(dtype, {2, 2, 64}), 39, 0, true)};
}
inline Arrays donated_encoding_update_with_readers(Operands& operands, DType dtype) {
  const Array base = operands(DType::q8_0, {40, 2, 64}), rows = Operands::values(DType::i32, {2}, {4, 3});
  const Array updated = slice_update(base, operands(dtype, {3, 2, 64}), 2, 0);
  return {updated, take_rows(base, rows), take_rows(updated, rows), base};
}

// Input 0 is given up: the first update may happen in its memory, unless somebody still reads the old value.
inline Arrays donated_update(Operands& operands, DType dtype) {
  const Array base = operands(dtype, {40, 6});
  const Array once = slice_update(base, operands(dtype, {3, 6}), 2, 0);
  return {slice_update(once, operands(dtype, {2, 6}), 39, 0, true)};
}
inline Arrays donated_update_with_readers(Operands& operands, DType dtype) {
  const Array base = operands(dtype, {40, 6});
  const Array updated = slice_update(base, operands(dtype, {3, 6}), 2, 0);
  return {updated, sum(base, {1}), sum(updated, {1}), base};
}
inline Arrays donated_update_with_itself(Operands& operands, DType dtype) {
  const Array base = operands(dtype, {40, 6});
  return {slice_update(base, slice(base, {0, 0}, {3, 6}), 1, 0)};
}

inline Arrays expert_linears(Operands& operands, DType dtype) {
  Arrays outputs;
  const Array three = Operands::values(DType::i32, {5, 3}, {3, 0, 2, 2, 1, 0, 0, 0, 3, 1, 2, 3, 2, 0, 1});
  const Array of_one_token = slice(three, {2, 0}, {3, 3});
  for (const DTypeInfo& weight : all_dtypes()) {
    if (weight.kind != DTypeKind::real && weight.kind != DTypeKind::quantised) continue;
    if (weight.dtype == DType::f64) continue;
    const Array stack = operands.constant(weight.dtype, {4, 48, 256});
    outputs.push_back(expert_linear(operands(dtype, {5, 1, 256}), stack, three));
    outputs.push_back(expert_linear(operands(dtype, {5, 3, 256}), stack, three));
    outputs.push_back(expert_linear(operands(dtype, {1, 1, 256}), stack, of_one_token));
    outputs.push_back(
        expert_linear(slice(operands(dtype, {1, 4, 512}), {0, 1, 256}, {1, 4, 512}), stack, of_one_token));
    outputs.push_back(
        expert_linear(operands(dtype, {5, 1, 256}), operands.constant(weight.dtype, {4, 19, 256}), three));
  }
  outputs.push_back(expert_linear(operands(dtype, {5, 3, 19}), operands(DType::f32, {4, 7, 19}), three));
  outputs.push_back(expert_linear(operands(dtype, {0, 1, 19}), operands(DType::f32, {4, 7, 19}),
                                  Operands::values(DType::i32, {0, 2}, {})));
  return outputs;
}

// A base that is read by a matmul before and after it changes in place: what is prepared for the first must not serve
// the second.
inline Arrays update_between_linears(Operands& operands, DType dtype) {
  const Array base = operands(dtype, {3, 64}) * 2.0, weight = operands.constant(DType::q8_0, {16, 64});
  const Array before = linear(base, weight);
  const Array changed = slice_update(base, operands(dtype, {1, 64}), 1, 0);
  return {before, linear(changed, weight)};
}

inline Arrays attentions(Operands& operands, DType cache) {
  struct Sizes {
    std::int64_t rows, heads, kv_heads, width, capacity, window;
    double first, length;  // position of row 0, and how many positions the cache has seen
  };
  Arrays outputs;
  const DType computed = cache == DType::f64 ? DType::f64 : DType::f32;
  for (const Sizes& s : std::vector<Sizes>{{1, 4, 2, 16, 33, 0, 20, 21},  // decode, grouped queries, unused rows behind
                                           {5, 3, 3, 8, 40, 0, 0, 5},     // a prompt from the start
                                           {7, 4, 1, 24, 64, 0, 30, 37},  // a later chunk, one kv head
                                           {5, 2, 2, 16, 64, 6, 20, 25},  // a window
                                           {1, 2, 1, 32, 16, 12, 70, 71},      // a ring that has turned
                                           {4, 2, 1, 16, 19, 16, 98, 102},     // a ring with room for the chunk
                                           {6, 2, 2, 16, 32, 0, 8, 11},        // padding: rows from 3 on are not valid
                                           {3, 2, 1, 16, 32, 0, 0, 0},         // nothing to see: zeros
                                           {1, 4, 2, 16, 200, 0, 4999, 5000},  // overwritten, without a window
                                           {3, 2, 1, 16, 150, 400, 2000, 2003},  // a window wider than the ring
                                           {17, 4, 2, 64, 300, 0, 250, 267}}) {
    std::vector<double> positions;
    for (std::int64_t row = 0; row < s.rows; ++row) positions.push_back(s.first + static_cast<double>(row));
    const std::int64_t block = info(cache).block_elements, width = (s.width + block - 1) / block * block;
    outputs.push_back(
        attention(operands(computed, {s.rows, s.heads, width}), operands(cache, {s.capacity, s.kv_heads, width}),
                  operands(cache, {s.capacity, s.kv_heads, width}), Operands::values(DType::i32, {s.rows}, positions),
                  static_cast<int>(s.length), AttentionAttrs{0.25, s.window}));
  }
  if (is_quantised(cache)) return outputs;
  const Array q = operands(computed, {4, 3, 16}), cache_view = operands(cache, {2, 20, 16});
  outputs.push_back(attention(transpose(q, {1, 0, 2}), transpose(cache_view, {1, 0, 2}),
                              transpose(cache_view, {1, 0, 2}), Operands::values(DType::i32, {3}, {4, 5, 6}), 7,
                              {0.25, 0}));
  return outputs;
}

inline Arrays ropes(Operands& operands, DType dtype) {
  const auto positions = [](const std::vector<double>& values) {
    return Operands::values(DType::i32, {static_cast<std::int64_t>(values.size())}, values);
  };
  const Array factors = Operands::values(DType::f32, {8}, {1, 1, 1.5, 2, 3, 4, 8, 8});
  const Array constant_factors = Array::constant(factors.node()->results()[0].buffer, factors.type(), "rope_freqs");
  Arrays outputs;
  for (const RopeAttrs& attrs : std::vector<RopeAttrs>{{}, {1e6, 0.125, 0}, {1e4, 1, 3}, {1e6, 0.5, 1}}) {
    outputs.push_back(rope(operands(dtype, {5, 3, 16}), positions({0, 1, 2, 77, 1000}), attrs));
    outputs.push_back(rope(operands(dtype, {2, 1, 16}), positions({9, 8}), constant_factors, attrs));
    outputs.push_back(rope(operands(dtype, {2, 1, 16}), positions({9, 8}), factors, attrs));
  }
  outputs.push_back(rope(transpose(operands(dtype, {3, 4, 16}), {1, 0, 2}), positions({5, 6, 7, 8}), RopeAttrs{}));
  outputs.push_back(rope(operands(dtype, {90, 4, 64}), iota(90), RopeAttrs{}));
  return outputs;
}

// Whole numbers of a small range: many equal.
inline Array with_ties(Operands& operands, DType dtype, Shape shape) {
  const Array x = operands(dtype, std::move(shape), -3, 3);
  return is_real(dtype) ? floor(x) : x;
}

template <Array (*op)(const Array&, std::int64_t)>
Arrays extremes(Operands& operands, DType dtype) {
  Arrays outputs;
  for (std::int64_t axis : {0, 1, 2}) {
    outputs.push_back(op(with_ties(operands, dtype, {3, 5, 17}), axis));
    outputs.push_back(op(transpose(with_ties(operands, dtype, {3, 5, 17}), {2, 0, 1}), axis));
  }
  for (std::int64_t size : {1, 15, 1000, 70000}) outputs.push_back(op(with_ties(operands, dtype, {size}), 0));
  return outputs;
}

template <Array (*op)(const Array&, std::int64_t, bool, bool)>
Arrays cumulatives(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const Array& x : operands.everywhere(dtype))
    for (int axis = 0; axis < x.rank(); ++axis) outputs.push_back(op(x, axis, false, true));
  const Array x = operands(dtype, {3, 7, 17}), wide = operands(dtype, {5, 300}), turned = transpose(x, {2, 0, 1});
  for (const bool reverse : {false, true})
    for (const bool inclusive : {false, true}) {
      for (int axis : {-1, -2, -3})
        outputs.insert(outputs.end(), {op(x, axis, reverse, inclusive), op(turned, axis, reverse, inclusive)});
      outputs.push_back(op(wide, 0, reverse, inclusive));
      outputs.push_back(op(operands(dtype, {0, 3}), 0, reverse, inclusive));
    }
  if (is_real(dtype)) outputs.push_back(op(Operands::values(dtype, {5}, {1, 3, nan, 2, -infinity}), 0, false, true));
  return outputs;
}

template <Array (*op)(const Array&, std::int64_t)>
Arrays sorts(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const Array& x : operands.everywhere(dtype, -100, 100))
    for (int axis = 0; axis < x.rank(); ++axis) outputs.push_back(op(x, axis));
  for (const Shape& shape : std::vector<Shape>{{3, 5, 17}, {1000, 3}, {3, 1000}, {20000}})
    for (const std::int64_t axis : {0, -1}) outputs.push_back(op(with_ties(operands, dtype, shape), axis));
  if (is_real(dtype))
    outputs.push_back(op(Operands::values(dtype, {9}, {nan, 0, -0.0, infinity, -1, 0, nan, -infinity, 1e-7}), 0));
  return outputs;
}

inline Arrays top_ks(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const auto& [size, k] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {17, 5}, {33, 33}, {1000, 64}}) {
    const TopK best = top_k(with_ties(operands, dtype, {3, size}), k);
    outputs.insert(outputs.end(), {best.values, best.indices});
  }
  outputs.push_back(top_k(transpose(with_ties(operands, dtype, {17, 3}), {1, 0}), 4).indices);
  return outputs;
}

inline Arrays special_values(Operands&, DType dtype) {
  const Array x = Operands::values(dtype, {2, 6}, {1, nan, -infinity, infinity, 0, -0.0, nan, 3, 3, -1, nan, 2});
  const Array y = reshape(Operands::values(dtype, {6}, {nan, nan, 1, infinity, -0.0, 0}), {1, 6});
  return {maximum(x, y),
          minimum(x, y),
          equal(x, y),
          not_equal(x, y),
          less(x, y),
          greater_equal(x, y),
          max(x, {1}),
          min(x, {0}),
          argmax(x),
          argmin(x),
          prod(x, {0}),
          any(x, {1}),
          all(x, {0}),
          top_k(x, 6).indices,
          exp(x),
          tanh(x),
          sigmoid(x),
          abs(x),
          -x,
          cast(x, DType::bool_),
          cast(x, DType::i8),
          cast(x, DType::u32),
          x / y,
          erf(x),
          gelu(x),
          gelu_tanh(x),
          silu(x),
          softplus(x),
          mish(x),
          elu(x),
          pow(x, y),
          atan2(x, y),
          remainder(x, y),
          fmod(x, y),
          isnan(x),
          isinf(x),
          isfinite(x),
          sign(x),
          round(x),
          log(abs(x)),
          sqrt(abs(x))};
}

inline Arrays views(Operands& operands, DType dtype) {
  const Array x = operands(dtype, {4, 6, 10});
  return {reshape(x, {24, 10}),
          reshape(transpose(x, {2, 0, 1}), {40, 6}),
          reshape(transpose(x, {1, 0, 2}), {2, 3, 40}),
          reshape(slice(x, {0, 1, 0}, {4, 5, 10}, {1, 1, 2}), {-1}),
          reshape(broadcast_to(operands(dtype, {1, 5}), {3, 5}), {15}),
          reshape(operands(dtype, {1}), {}),
          transpose(x, {1, 2, 0}),
          slice(x, {1, 0, 3}, {4, 6, 10}, {2, 5, 3}),
          slice(x, {2, 3, 4}, {2, 6, 10}),
          broadcast_to(operands(dtype, {4, 1, 3}), {2, 4, 5, 3}),
          broadcast_to(operands(dtype, {}), {3, 0, 2}),
          slice(x, {3, 5, 9}, {-1, 0, 2}, {-1, -2, -3}),
          reshape(slice(x, {3, 0, 9}, {-1, 6, -1}, {-1, 1, -1}), {24, 10}),
          as_strided(x, {3, 5, 4}, {7, -2, 1}, 40),
          as_strided(transpose(x, {2, 0, 1}), {2, 0}, {1, 1}),
          as_strided(slice(x, {0, 0, 0}, {4, 6, 9}), {4, 3}, {0, 5}),
          x};
}

inline Arrays concatenates(Operands& operands, DType dtype) {
  Arrays outputs;
  for (std::int64_t axis : {0, 1, 2}) {
    Shape other{3, 4, 17};
    other[static_cast<std::size_t>(axis)] = 2;
    Shape empty = other;
    empty[static_cast<std::size_t>(axis)] = 0;
    outputs.push_back(concatenate({operands(dtype, {3, 4, 17}), operands(dtype, empty), operands(dtype, other),
                                   transpose(operands(dtype, {17, 4, 3}), {2, 1, 0})},
                                  axis));
  }
  outputs.push_back(concatenate({operands(dtype, {5})}, 0));
  outputs.push_back(concatenate(Arrays(64, operands(dtype, {1, 3})), 0));
  return outputs;
}

inline Arrays gathers(Operands& operands, DType dtype) {
  Arrays outputs;
  for (std::int64_t axis : {0, 1, 2}) {
    const Array x = operands(dtype, {4, 5, 6});
    Shape shape = x.shape();
    shape[static_cast<std::size_t>(axis)] = 3;
    outputs.push_back(
        gather(x, operands(DType::i32, shape, 0, static_cast<double>(x.size(static_cast<int>(axis))) - 1), axis));
    outputs.push_back(
        gather(transpose(operands(dtype, {6, 5, 4}), {2, 1, 0}), operands(DType::i32, shape, 0, 3), axis));
  }
  return outputs;
}

inline Arrays casts(Operands& operands, DType from) {
  Arrays outputs;
  for (DType to : plain) {
    outputs.push_back(cast(operands(from, {}, -100, 100), to));
    outputs.push_back(cast(operands(from, {37, 1000}, -100, 100), to));
    outputs.push_back(cast(transpose(operands(from, {17, 5}, -100, 100), {1, 0}), to));
    if (is_real(from)) outputs.push_back(cast(Operands::values(from, {6}, {300, -300, 1e10, -1e10, 0.5, -0.5}), to));
    if (from == DType::i64) outputs.push_back(cast(Operands::values(from, {3}, {4294967297.0, -5, 0x1p40}), to));
    if (from == DType::u64) outputs.push_back(cast(Operands::values(from, {3}, {4294967297.0, 0x1p63, 0x1p40}), to));
    if (from == DType::f64)
      outputs.push_back(
          cast(Operands::values(from, {7}, {nan, infinity, -infinity, 1e300, 0x1p63, 0x1p64, 1e-310}), to));
  }
  return outputs;
}

inline Arrays selects(Operands& operands, DType dtype) {
  Arrays outputs;
  const auto make = [&](Shape shape) { return operands(dtype, std::move(shape)); };
  const auto condition = [&](Shape shape) { return operands(DType::bool_, std::move(shape)); };
  for (const Shape& shape : std::vector<Shape>{{}, {17}, {5, 33}, {2, 3, 4, 5}, {0}})
    outputs.push_back(select(condition(shape), make(shape), make(shape)));
  outputs.push_back(select(condition({5, 1}), make({33}), make({})));
  outputs.push_back(select(condition({33}), make({5, 1}), make({5, 33})));
  outputs.push_back(select(condition({}), make({5, 1}), make({1, 33})));
  outputs.push_back(select(transpose(condition({33, 5}), {1, 0}), make({5, 33}), transpose(make({33, 5}), {1, 0})));
  return outputs;
}

inline Arrays altups(Operands& operands, DType dtype) {
  const Array planes = operands(dtype, {4, 3, 33}), two = operands(dtype, {2, 1, 2, 17});
  return {altup_predict(planes, operands(dtype, {3, 16})), altup_predict(two, operands(dtype, {1, 2, 4})),
          altup_predict(transpose(operands(dtype, {3, 4, 33}), {1, 0, 2}), operands(dtype, {3, 16})),
          altup_correct(planes, operands(dtype, {3, 33}), operands(dtype, {3, 4})),
          altup_correct(two, operands(dtype, {1, 2, 17}), operands(dtype, {1, 2, 2}), {1})};
}

inline Arrays norms(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const Array& x : operands.everywhere(dtype))
    if (x.rank() > 0 && x.shape().back() > 0) {
      outputs.push_back(rms_norm(x, 1e-6));
      outputs.push_back(rms_norm(x, operands(dtype, {x.shape().back()}), 1e-5));
    }
  return outputs;
}

// Epsilon keeps rows of equal numbers, whose mean is rounded, from being magnified.
inline Arrays layer_norms(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const Array& x : operands.everywhere(dtype))
    if (x.rank() > 0 && x.shape().back() > 0) {
      const Array weight = operands(dtype, {x.shape().back()}), bias = operands(dtype, {x.shape().back()});
      outputs.insert(outputs.end(),
                     {layer_norm(x, 0.1), layer_norm(x, weight, 0.25), layer_norm(x, weight, bias, 0.1)});
    }
  return outputs;
}

template <Array (*op)(const Array&, std::int64_t)>
Arrays softmaxes(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const Array& x : operands.everywhere(dtype))
    for (std::int64_t axis = 0; axis < x.rank(); ++axis)
      if (x.type().elements() > 0) outputs.push_back(op(x, axis));
  return outputs;
}

struct ConvolutionCase {
  Shape x, weight;
  ConvolutionAttrs attrs = {};
};
inline std::vector<ConvolutionCase> convolution_cases() {
  return {
      {{3, 9, 11, 5}, {7, 3, 3, 5}},
      {{1, 13, 10, 16}, {33, 3, 2, 16}, {.stride = {2, 3}, .padding_low = {1, 0}, .padding_high = {2, 1}}},
      {{3, 12, 12, 3}, {20, 7, 7, 3}, {.stride = {2}, .padding_low = {3}, .padding_high = {3}}},
      {{1, 14, 9, 6}, {5, 3, 3, 6}, {.padding_low = {2, 1}, .padding_high = {0, 3}, .kernel_dilation = {2, 3}}},
      {{3, 7, 8, 6}, {10, 3, 3, 3}, {.padding_low = {1}, .padding_high = {1}, .groups = 2}},
      {{1, 7, 8, 64}, {64, 1, 1, 32}, {.groups = 2}},  // pixels are rows of each group
      {{2, 7, 8, 64}, {64, 3, 3, 16}, {.padding_low = {1}, .padding_high = {1}, .groups = 4}},
      {{3, 8, 9, 19}, {19, 3, 3, 1}, {.padding_low = {1}, .padding_high = {1}, .groups = 19}},  // depthwise
      {{1, 15, 13, 40}, {40, 5, 3, 1}, {.stride = {2, 1}, .padding_low = {2, 0}, .padding_high = {2, 5}, .groups = 40}},
      {{1, 9, 9, 6}, {12, 3, 3, 1}, {.padding_low = {1}, .padding_high = {1}, .groups = 6}},
      {{1, 6, 5, 7}, {9, 3, 3, 7}, {.padding_low = {1}, .padding_high = {1}, .flip = true}},
      {{1, 9, 9, 4}, {5, 3, 3, 4}, {.padding_low = {-2, -1}, .padding_high = {1, -1}}},
      {{1, 6, 6, 4}, {5, 1, 1, 4}, {.stride = {2}}},
      {{2, 9, 9, 8}, {12, 1, 1, 8}},
      {{3, 40, 5}, {6, 4, 5}, {.stride = {3}, .padding_low = {2}, .padding_high = {1}}},
      {{2, 5, 6, 7, 3}, {4, 2, 3, 3, 3}, {.stride = {1, 2, 2}, .padding_low = {0, 1, 1}, .padding_high = {1, 1, 2}}},
      {{0, 9, 9, 4}, {5, 3, 3, 4}},
      {{2, 5, 5, 0}, {4, 3, 3, 0}},
      {{1, 40, 41, 24}, {48, 3, 3, 24}, {.padding_low = {1}, .padding_high = {1}}},  // several blocks of rows
      {{1, 60, 60, 33}, {33, 3, 3, 1}, {.padding_low = {1}, .padding_high = {1}, .groups = 33}},
      // Input dilations that share no, one, and all of their divisors with the stride.
      {{1, 6, 7, 5}, {4, 3, 4, 5}, {.stride = {3}, .padding_low = {2}, .padding_high = {2}, .input_dilation = {2}}},
      {{1, 6, 7, 5}, {4, 3, 4, 5}, {.stride = {2, 4}, .padding_low = {2}, .padding_high = {2}, .input_dilation = {4}}},
      {{1, 6, 7, 9}, {9, 3, 3, 1}, {.stride = {2, 1}, .input_dilation = {2, 3}, .groups = 9, .flip = true}},
      {{1, 5, 5, 3}, {3, 1, 1, 3}, {.input_dilation = {2}}},  // most of the result meets zeros alone
      {{1, 5, 3}, {3, 1, 3}, {.stride = {2}, .padding_low = {1}, .input_dilation = {2}}},  // and all of it
  };
}
inline Arrays convolutions(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const ConvolutionCase& each : convolution_cases()) {
    const Array x = operands(dtype, each.x);
    outputs.push_back(conv_general(x, operands.constant(dtype, each.weight), each.attrs));
    outputs.push_back(conv_general(x, operands(dtype, each.weight), each.attrs));
  }
  const Array x = operands(dtype, {2, 6, 9, 7}), apart = transpose(operands(dtype, {7, 2, 10, 9}), {1, 2, 3, 0});
  outputs.push_back(conv2d(slice(apart, {0, 1, 0, 0}, {2, 10, 9, 7}, {1, 2, 1, 1}), operands(dtype, {5, 3, 3, 7})));
  outputs.push_back(conv2d(x, operands.constant(DType::bf16, {5, 3, 3, 7}), {1, 2}, {1, 0}));
  outputs.push_back(conv2d(x, operands.constant(DType::f32, {7, 3, 3, 1}), {1}, {1}, {1}, 7));
  outputs.push_back(conv1d(operands(dtype, {1, 50, 3}), operands(dtype, {5, 7, 3}), 2, 3, 2));
  outputs.push_back(conv3d(operands(dtype, {1, 4, 5, 6, 3}), operands(dtype, {5, 2, 2, 2, 3}), {1, 2, 1}, {1}));
  outputs.push_back(conv_transpose1d(operands(dtype, {2, 9, 5}), operands.constant(dtype, {6, 4, 5}), 2, 1, 1, 1));
  outputs.push_back(conv_transpose2d(x, operands.constant(dtype, {17, 3, 3, 7}), {2}, {1}, {1}, {1}));
  outputs.push_back(conv_transpose2d(x, operands(dtype, {4, 2, 5, 7}), {3, 2}, {0, 1}, {2, 1}, {2, 0}));
  outputs.push_back(conv_transpose2d(x, operands(dtype, {7, 4, 4, 1}), {2}, {1}, {1}, {0}, 7));
  outputs.push_back(conv_transpose3d(operands(dtype, {1, 3, 4, 3, 4}), operands(dtype, {6, 2, 3, 2, 2}), {2, 1, 3}, {0},
                                     {1}, {0}, 2));
  return outputs;
}

inline std::vector<std::pair<Shape, PoolAttrs>> pool_cases() {
  return {
      {{3, 9, 11, 5}, {.kernel = {2}}},
      {{1, 13, 10, 37}, {.kernel = {3}, .stride = {2}, .padding_low = {1}, .padding_high = {1}}},
      {{2, 13, 10, 130}, {.kernel = {3, 2}, .stride = {1, 3}, .padding_low = {1, 0}, .padding_high = {0, 1}}},
      {{1, 11, 12, 6}, {.kernel = {3}, .stride = {2}, .dilation = {2}}},
      {{1, 10, 11, 6}, {.kernel = {3}, .stride = {2}, .padding_low = {1}, .padding_high = {1}, .ceil_mode = true}},
      {{1, 10, 11, 6},
       {.kernel = {3, 4},
        .stride = {2, 3},
        .padding_low = {1},
        .padding_high = {0, 2},
        .ceil_mode = true,
        .count_include_pad = false}},
      {{3, 40, 5}, {.kernel = {4}, .stride = {3}, .padding_low = {2}, .padding_high = {2}, .count_include_pad = false}},
      {{2, 5, 6, 7, 3},
       {.kernel = {2, 3, 3}, .stride = {1, 2, 2}, .padding_low = {0, 1, 1}, .padding_high = {1, 1, 1}}},
      {{0, 9, 9, 4}, {.kernel = {3}}},
      {{1, 65, 60, 70}, {.kernel = {3}, .stride = {1}, .padding_low = {1}, .padding_high = {1}}},
      {{1, 30, 31, 40}, {.kernel = {30, 31}}},
  };
}
inline Arrays max_pools(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const auto& [shape, window] : pool_cases()) outputs.push_back(max_pool(operands(dtype, shape, -99, 99), window));
  for (const Dims& size : std::vector<Dims>{{1}, {3, 4}, {9, 11}, {10, 20}})
    outputs.push_back(adaptive_max_pool(operands(dtype, {2, 9, 11, 19}, -99, 99), size));
  if (is_real(dtype)) outputs.push_back(max_pool(Operands::values(dtype, {1, 4, 1}, {1, nan, 2, 3}), {.kernel = {2}}));
  return outputs;
}
inline Arrays mean_pools(Operands& operands, DType dtype) {
  Arrays outputs;
  for (const auto& [shape, window] : pool_cases()) outputs.push_back(mean_pool(operands(dtype, shape), window));
  for (const Dims& size : std::vector<Dims>{{1}, {3, 4}, {9, 11}, {10, 20}})
    outputs.push_back(adaptive_mean_pool(operands(dtype, {2, 9, 11, 19}), size));
  return outputs;
}

inline Arrays interpolations(Operands& operands, DType dtype, Interpolation mode) {
  Arrays outputs;
  const Array x = operands(dtype, {2, 6, 5, 3});
  for (const Coordinates coordinates : {Coordinates::half_pixel, Coordinates::asymmetric, Coordinates::align_corners})
    for (const Dims& size : std::vector<Dims>{{6, 5}, {12, 15}, {3, 2}, {7, 13}, {1, 40}})
      outputs.push_back(interpolate(x, size, mode, coordinates));
  for (const bool align_corners : {false, true}) {
    outputs.push_back(upsample(x, {2}, mode, align_corners));
    outputs.push_back(upsample(x, {1.5, 2.7}, mode, align_corners));
    outputs.push_back(upsample(x, {0.5, 0.61}, mode, align_corners));
  }
  outputs.push_back(interpolate(operands(dtype, {3, 7, 2}), {11}, mode));
  outputs.push_back(interpolate(operands(dtype, {1, 2, 3, 4, 5}), {5, 3, 6}, mode, Coordinates::align_corners));
  outputs.push_back(interpolate(operands(dtype, {0, 4, 4, 2}), {8, 3}, mode));
  return outputs;
}

inline Arrays generators(Operands&, DType dtype) {
  Arrays outputs;
  for (std::int64_t size : {0, 1, 17, 100}) outputs.push_back(iota(size, dtype));
  if (!is_real(dtype)) return outputs;
  for (const Shape& shape : std::vector<Shape>{{}, {15}, {3, 7}, {20001}})
    outputs.insert(outputs.end(), {random::uniform(shape, dtype, 7), random::normal(shape, dtype, -3)});
  return outputs;
}

// Moving data by places
inline Arrays pads(Operands& operands, DType dtype) {
  const auto padded = [&](const Array& x, Dims before, Dims after) {
    return make_array(Op::pad, PadAttrs{std::move(before), std::move(after)}, {x, scalar(1, dtype)});
  };
  return {padded(operands(dtype, {3, 5, 7}), {1, 0, 2}, {0, 2, 3}),
          padded(operands(dtype, {3, 5, 7}), {0, 2, 0}, {1, 0, 0}),
          padded(operands(dtype, {3, 5, 7}), {2, 0, 0}, {0, 0, 0}),
          padded(operands(dtype, {3, 5, 7}), {0, 0, 0}, {0, 0, 0}),
          padded(transpose(operands(dtype, {7, 5}), {1, 0}), {1, 1}, {1, 1}),
          padded(slice(operands(dtype, {9, 5}), {8, 0}, {-1, 5}, {-2, 1}), {1, 1}, {1, 1}),
          padded(broadcast_to(operands(dtype, {5}), {3, 5}), {1, 0}, {0, 1}),
          padded(operands(dtype, {0, 5}), {2, 1}, {1, 0}),
          padded(operands(dtype, {3, 0}), {0, 0}, {1, 0}),
          padded(operands(dtype, {}), {}, {}),
          padded(operands(dtype, {300, 99}), {3, 1}, {0, 0}),
          make_array(Op::pad, PadAttrs{{1}, {2}}, {operands(dtype, {4}), operands(dtype, {})})};
}

inline Arrays gathers_nd(Operands& operands, DType dtype) {
  const Array x = operands(dtype, {4, 5, 6}), seen = transpose(operands(dtype, {6, 5, 4}), {2, 1, 0});
  const auto indices = [&](Shape shape, double highest) { return operands(DType::i32, std::move(shape), 0, highest); };
  Arrays outputs;
  for (const Array& source : {x, seen})
    for (std::int64_t k : {1, 2, 3}) {
      outputs.push_back(gather_nd(source, indices({k}, 3)));
      outputs.push_back(gather_nd(source, indices({2, 7, k}, 3)));
      outputs.push_back(gather_nd(source, indices({0, k}, 3)));
      if (k < 3) outputs.push_back(gather_nd(source, indices({4, 3, k}, 4), 1));
      if (k < 3) outputs.push_back(gather_nd(source, indices({4, k}, 4), 1));
    }
  outputs.push_back(gather_nd(x, indices({4, 5, 3, 1}, 5), 2));
  outputs.push_back(gather_nd(operands(dtype, {70, 50}), indices({9000, 2}, 49)));
  return outputs;
}

// Some places twice. Of the scatters, and what a base can be: an array, one that lies otherwise, a constant.
inline Arrays scatters(Operands& operands, DType dtype, const std::vector<Scatter>& reductions) {
  Arrays outputs;
  for (const Scatter reduction : reductions) {
    for (std::int64_t axis : {0, 1, 2})
      for (const std::int64_t count : {0, 1, 9}) {
        const Array base = operands(dtype, {4, 5, 6}), seen = transpose(operands(dtype, {6, 5, 4}), {2, 1, 0});
        Shape shape = base.shape();
        shape[static_cast<std::size_t>(axis)] = count;
        const Array indices = operands(DType::i32, shape, 0, static_cast<double>(3 + axis));
        outputs.push_back(scatter(base, indices, operands(dtype, shape), axis, reduction));
        outputs.push_back(scatter(seen, indices, operands(dtype, {}), axis, reduction));
      }
    for (std::int64_t k : {1, 2, 3}) {
      Shape shape{3, 4};
      shape.insert(shape.end(), 3 - static_cast<std::size_t>(k), 6);
      const Array base = operands.constant(dtype, {6, 6, 6});
      outputs.push_back(scatter_nd(base, operands(DType::i32, {3, 4, k}, 0, 5), operands(dtype, shape), reduction));
    }
    outputs.push_back(
        scatter_nd(operands(dtype, {40}), operands(DType::i32, {9000, 1}, 0, 39), operands(dtype, {9000}), reduction));
    outputs.push_back(scatter(operands(dtype, {40, 3}), operands(DType::i32, {3000, 3}, 0, 39),
                              operands(dtype, {3000, 3}), 0, reduction));
  }
  return outputs;
}
inline Arrays scatters_of_numbers(Operands& operands, DType dtype) {
  return scatters(operands, dtype, {Scatter::add, Scatter::multiply, Scatter::max, Scatter::min});
}
inline Arrays replacing_scatters(Operands& operands, DType dtype) {
  return scatters(operands, dtype, {Scatter::replace});
}
inline Arrays donated_scatters(Operands& operands, DType dtype) {
  const Array base = operands(dtype, {40, 6});
  const Array once = scatter(base, operands(DType::i32, {9, 6}, 0, 39), operands(dtype, {9, 6}), 0, Scatter::add);
  return {scatter_nd(once, operands(DType::i32, {5, 1}, 0, 39), operands(dtype, {5, 6}))};
}
inline Arrays donated_scatters_with_readers(Operands& operands, DType dtype) {
  const Array base = operands(dtype, {40, 6});
  const Array changed = scatter(base, operands(DType::i32, {9, 6}, 0, 39), slice(base, {3, 0}, {12, 6}), 0);
  return {changed, sum(base, {1}), base};
}

inline std::vector<Case> all_cases() {
  const std::vector<DType> f32_only = {DType::f32}, bool_only = {DType::bool_};
  return {
      unary("neg", numbers, exact, [](const Array& x) { return -x; }),
      unary("abs", numbers, exact, abs),
      unary("square", numbers, exact, square),
      unary("exp", reals, few_ulps, exp, -30, 10),
      unary("exp2", reals, few_ulps, exp2, -30, 10),
      unary("expm1", reals, few_ulps, expm1, -30, 10),
      unary("log", reals, few_ulps, log, 1e-3, 50),
      unary("log2", reals, few_ulps, log2, 1e-3, 50),
      unary("log10", reals, few_ulps, log10, 1e-3, 50),
      unary("log1p", reals, few_ulps, log1p, -0.9, 50),
      unary("sqrt", reals, exact, sqrt, 0, 100),
      unary("rsqrt", reals, exact, rsqrt, 1e-3, 100),
      unary("reciprocal", reals, exact, reciprocal, 0.01, 9),
      unary("tanh", reals, few_ulps, tanh, -12, 12),
      unary("sigmoid", reals, few_ulps, sigmoid, -30, 30),
      unary("erf", reals, few_ulps, erf, -5, 5),
      unary("sin", reals, few_ulps, sin, -50, 50),
      unary("cos", reals, few_ulps, cos, -50, 50),
      unary("tan", reals, few_ulps, tan, -50, 50),
      unary("asin", reals, few_ulps, asin, -1, 1),
      unary("acos", reals, few_ulps, acos, -1, 1),
      unary("atan", reals, few_ulps, atan, -9, 9),
      unary("sinh", reals, few_ulps, sinh, -9, 9),
      unary("cosh", reals, few_ulps, cosh, -9, 9),
      unary("asinh", reals, few_ulps, asinh, -50, 50),
      unary("acosh", reals, few_ulps, acosh, 1, 50),
      unary("atanh", reals, few_ulps, atanh, -1, 1),
      unary("floor", reals, exact, floor, -9, 9),
      unary("ceil", reals, exact, ceil, -9, 9),
      unary("trunc", reals, exact, trunc, -9, 9),
      unary("round", reals, exact, round, -9, 9),
      unary("sign", numbers, exact, sign),
      unary("bitwise_invert", integers, exact, bitwise_invert, -99, 99),
      unary("logical_not", bool_only, exact, logical_not),
      unary("gelu", reals, few_ulps, gelu, -8, 8),
      unary("gelu_tanh", reals, few_ulps, gelu_tanh, -8, 8),
      unary("silu", reals, few_ulps, silu, -30, 30),
      unary("softplus", reals, few_ulps, softplus, -30, 30),
      unary("mish", reals, few_ulps, mish, -30, 30),
      unary("relu", numbers, exact, relu),
      unary("leaky_relu", reals, exact, [](const Array& x) { return leaky_relu(x, 0.25); }),
      unary(
          "elu", reals, few_ulps, [](const Array& x) { return elu(x, 0.5); }, -9, 9),
      unary("hard_swish", reals, few_ulps, hard_swish, -5, 5),
      unary(
          "softcap", reals, 3e-6, [](const Array& x) { return softcap(x, 30); }, -90, 90),  // 30 times tanh's
      {"cast", plain, exact, casts},
      binary("add", numbers, exact, operator+),
      binary("sub", numbers, exact, operator-),
      binary("mul", numbers, exact, operator*),
      binary("div", numbers, exact, operator/),  // by zero too
      binary("pow", reals, few_ulps, pow, 0.1, 4),
      binary("atan2", reals, few_ulps, atan2),
      binary("remainder", numbers, exact, remainder),
      binary("fmod", numbers, exact, fmod),
      binary("bitwise_and", integers, exact, bitwise_and, -99, 99),
      binary("bitwise_or", integers, exact, bitwise_or, -99, 99),
      binary("bitwise_xor", integers, exact, bitwise_xor, -99, 99),
      binary("left_shift", integers, exact, left_shift),
      binary("right_shift", integers, exact, right_shift),
      binary("maximum", numbers, exact, maximum),
      binary("minimum", numbers, exact, minimum),
      compare("equal", equal),
      compare("not_equal", not_equal),
      compare("less", less),
      compare("less_equal", less_equal),
      compare("greater", greater),
      compare("greater_equal", greater_equal),
      binary("logical_and", bool_only, exact, logical_and),
      binary("logical_or", bool_only, exact, logical_or),
      {"select", plain, exact, selects},
      {"special_values", reals, few_ulps, special_values},
      reduction("sum", numbers, summed, sum),
      reduction("mean", reals, few_ulps, mean),
      reduction("max", numbers, exact, max),
      reduction("min", numbers, exact, min),
      reduction("prod", numbers, summed, prod),
      reduction("any", plain, exact, any),
      reduction("all", plain, exact, all),
      reduction("any_of_few", {DType::f32}, exact,
                [](const Array& x, Dims axes, bool keep_dims) { return any(greater(x, 1.9), axes, keep_dims); }),
      reduction("all_of_most", {DType::f32}, exact,
                [](const Array& x, Dims axes, bool keep_dims) { return all(less(x, 1.9), axes, keep_dims); }),
      {"argmax", numbers, exact, extremes<argmax>},
      {"argmin", numbers, exact, extremes<argmin>},
      {"argmax_of_large_integers",
       {DType::i32, DType::u32, DType::i64, DType::u64, DType::f64},
       exact,
       [](Operands&, DType dtype) {
         return Arrays{argmax(Operands::values(dtype, {3}, {16777216, 16777217, 16777216}))};
       }},
      {"argmin_of_large_integers",
       {DType::i32, DType::u32, DType::i64, DType::u64, DType::f64},
       exact,
       [](Operands&, DType dtype) {
         return Arrays{argmin(Operands::values(dtype, {3}, {16777217, 16777216, 16777217}))};
       }},
      {"top_k", numbers, exact, top_ks},
      {"cumsum", numbers, exact, cumulatives<cumsum>},
      {"cumprod", numbers, exact, cumulatives<cumprod>},
      {"cummax", numbers, exact, cumulatives<cummax>},
      {"cummin", numbers, exact, cumulatives<cummin>},
      {"sort", plain, exact, sorts<sort>},
      {"argsort", plain, exact, sorts<argsort>},
      {"views", plain, exact, views},
      {"concatenate", plain, exact, concatenates},
      {"slice_update", plain, exact, slice_updates},
      {"slice_update_donated", f32_only, summed, donated_update, {0}},
      {"slice_update_donated_and_read", f32_only, summed, donated_update_with_readers, {0}},
      {"slice_update_donated_from_itself", f32_only, exact, donated_update_with_itself, {0}},
      {"slice_update_encoded", f32_only, exact, encoding_updates},
      {"slice_update_encoded_donated", f32_only, exact, donated_encoding_update, {0}},
      {"slice_update_encoded_donated_and_read", f32_only, exact, donated_encoding_update_with_readers, {0}},
      {"linear_around_update", f32_only, summed, update_between_linears, {}, true},
      {"take", plain, exact, takes},
      {"take_quantised", f32_only, exact, quantised_takes, {}, true},
      {"quantise", reals_32, exact, quantisations},
      {"dequantise", f32_only, exact, dequantisations},
      {"gather", plain, exact, gathers},
      {"matmul", reals, summed, matmuls},
      {"linear", reals, summed, linears, {}, true},
      {"expert_linear", reals_32, summed, expert_linears, {}, true},
      {"softmax", reals, few_ulps, softmaxes<softmax>},
      {"log_softmax", reals, few_ulps, softmaxes<log_softmax>},
      {"layer_norm", reals, summed, layer_norms},
      {"rms_norm", reals, few_ulps, norms},
      {"rope", reals, 2e-4, ropes},  // f32 angles of up to 1000: half an ulp is 3e-5
      {"attention", reals, summed, attentions},
      {"attention_q8_0", {DType::q8_0}, summed, attentions},
      {"altup", reals, few_ulps, altups},
      {"convolution", reals_32, summed, convolutions},
      {"max_pool", numbers, exact, max_pools},
      {"mean_pool", reals, few_ulps, mean_pools},
      {"interpolate_nearest", plain, exact,
       [](Operands& operands, DType dtype) { return interpolations(operands, dtype, Interpolation::nearest); }},
      {"interpolate_linear", reals, few_ulps,
       [](Operands& operands, DType dtype) { return interpolations(operands, dtype, Interpolation::linear); }},
      {"interpolate_cubic", reals, 4e-6,  // sixteen terms of up to 4
       [](Operands& operands, DType dtype) { return interpolations(operands, dtype, Interpolation::cubic); }},
      {"generators", numbers, exact, generators},
      {"pad", plain, exact, pads},
      {"gather_nd", plain, exact, gathers_nd},
      {"scatter", numbers, exact, scatters_of_numbers},
      {"scatter_replacing", plain, exact, replacing_scatters},
      {"scatter_donated", f32_only, exact, donated_scatters, {0}},
      {"scatter_donated_and_read", f32_only, summed, donated_scatters_with_readers, {0}},
  };
}

}  // namespace lazuli::test
