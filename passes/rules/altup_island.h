// SPDX-License-Identifier: MIT
// What the two AltUp rules share: recognising planes, and building the bodies of their fused nodes.
//
// Baykal et al. 2023, "Alternating Updates for Efficient Transformers": P planes x_j of width H for each token.
//   predict  p_j = x_j + sum_i c_ji x_i         coefficient c_ji at position P j + i
//   correct  y_j = p_j + (c_j + 1) (activated - p_active)
#pragma once

#include <lazuli/passes/rules/rewrite.h>
#include <lazuli/passes/strided_view.h>

#include <optional>
#include <vector>

namespace lazuli::altup {

// Planes [P, ..., H]; `rows` holds the sizes between, without ones.
struct Planes {
  ValueId value;
  std::int64_t count = 0, width = 0;
  Shape rows;
  Shape plane_shape;  // [..., H]

  std::int64_t row_count() const { return element_count(rows); }
};

// `value`, or what it views whole, if it has the shape of two or more planes of two or more columns.
std::optional<Planes> as_planes(const Graph& graph, ValueId value);
// Which plane the value shows, if it shows a whole one.
std::optional<std::int64_t> plane_index(const Graph& graph, const Planes& planes, ValueId value);

// Sizes and strides of a contiguous array, `tail` after the rows: as a StridedView has them.
bool is_window(const StridedView& view, const Shape& sizes, const Dims& strides);
// Strides of the rows where each holds `block` elements.
Dims row_strides(const Planes& planes, std::int64_t block);

// In which the composites of this dtype are computed, as decompose.cc has them.
inline DType arithmetic_of(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// The value before a cast, or the value itself.
ValueId before_cast(const Graph& graph, ValueId value);

// Builds the body of an island: slices of the operands, arithmetic in one dtype, and the planes put together. The
// planes are cast before they are put together, so that nothing is computed behind the concatenation.
class IslandBuilder {
 public:
  explicit IslandBuilder(std::vector<Type> operands);

  ValueId operand(std::size_t index) const { return {static_cast<std::int32_t>(index), 0}; }
  // Plane `index` of an operand [P, ..., H], as [..., H].
  ValueId plane(ValueId planes, std::int64_t index);
  // Entry `index` of each row of coefficients [..., K], as [..., 1] beside a plane of this shape.
  ValueId column(ValueId coefficients, const Shape& plane_shape, std::int64_t index);
  ValueId reshaped(ValueId x, const Shape& shape);
  ValueId apply(Op op, ValueId a, ValueId b);
  ValueId plus_one(ValueId x);
  ValueId cast(ValueId x, DType dtype);
  Graph stack(std::vector<ValueId> planes, DType dtype);

 private:
  ValueId add_once(Op op, Attrs attrs, std::vector<ValueId> inputs);

  Graph body_;
};

// Nodes an island covers, and nodes it copies because others may read them too.
struct Coverage {
  std::vector<std::int32_t> covers, shared;
  std::vector<ValueId> operands;

  void cover(ValueId value) { covers.push_back(value.node); }
  // Views and casts of an operand move into the body; the operand is what they start from.
  void copy_views(const Graph& graph, ValueId value);
};

// A fusing replacement. Declines where a covered value other than the root has readers outside.
Attempt replace(const Graph& graph, const UseCounts& uses, std::int32_t root, Coverage coverage, Graph body);
// The same with the covered nodes themselves as the body.
Attempt replace(const Graph& graph, const UseCounts& uses, std::int32_t root, Coverage coverage);

}  // namespace lazuli::altup
