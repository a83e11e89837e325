// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/cache_size.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/matmul_steps.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/backends/cpu/weights/pack_strided.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>

#include <algorithm>
#include <optional>

namespace lazuli::cpu {
namespace {

// Up to here packing takes longer than it spares.
constexpr std::int64_t max_strided_rows = 4;

// A product is cut by outputs; where that gives fewer units, by rows too, in multiples of what tiles of every level
// divide.
constexpr std::int64_t min_units = 32;
constexpr std::int64_t row_granule = 24;

std::int64_t divide_up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// Where the matrices of a batch begin, in elements.
struct Batch {
  Shape shape;
  Dims strides;

  std::int64_t count() const { return element_count(shape); }
  std::int64_t offset(std::int64_t index) const {
    std::int64_t offset = 0;
    for (std::size_t axis = shape.size(); axis-- > 0; index /= shape[axis])
      offset += index % shape[axis] * strides[axis];
    return offset;
  }
  // The same batch, its matrices numbered: one number for those that are the same.
  Batch numbers() const {
    Batch numbered{shape, Dims(shape.size(), 0)};
    std::int64_t count = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (strides[axis] == 0) continue;
      numbered.strides[axis] = count;
      count *= shape[axis];
    }
    return numbered;
  }
  // The matrices that differ.
  Batch distinct() const {
    Batch batch;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (strides[axis] == 0) continue;
      batch.shape.push_back(shape[axis]);
      batch.strides.push_back(strides[axis]);
    }
    return batch;
  }
};

Batch batch_of(View operand, const Shape& shape) {
  operand.shape.resize(operand.shape.size() - 2);
  operand.strides.resize(operand.strides.size() - 2);
  return {shape, broadcast_view(operand, shape).strides};
}

// Rows of all axes but the last, where memory has them evenly spaced.
std::optional<View> as_matrix(const View& x) {
  return apply_view(Op::reshape, ReshapeAttrs{{rows_of(x), x.shape.back()}}, x);
}

std::int64_t matrices_of(const View& x) { return element_count({x.shape.begin(), x.shape.end() - 2}); }

bool has_contiguous_rows(const View& x) { return x.shape.back() <= 1 || x.strides.back() == 1; }

struct StridedProduct {
  View x, weight, y;
  std::int64_t rows, outputs, cols;  // of a matrix
  std::int64_t x_stride, output_stride, column_stride;
  Batch x_batch, weight_batch;
  Extent rows_now, matrices_now;  // of a run

  std::int64_t matrices() const { return x_batch.count(); }
  bool is_sized() const { return rows_now.dimension >= 0 || matrices_now.dimension >= 0; }
  std::int64_t groups() const { return divide_up(outputs, packed_group_rows); }
  std::int64_t packed_matrix_bytes() const {
    return static_cast<std::int64_t>(packed_bytes(weight.dtype, outputs, cols));
  }
  RealRowsView x_at(const Memory& memory, std::int64_t matrix) const {
    return {memory.as<const float>(x) + x_batch.offset(matrix), memory.now(rows_now), cols, x_stride};
  }
  float* y_at(const Memory& memory, std::int64_t matrix) const { return memory.as<float>(y) + matrix * rows * outputs; }
  StridedWeightView weight_from(const Memory& memory, std::int64_t offset) const {
    return {memory.at(weight) + byte_size(weight.dtype, offset), outputs, cols, output_stride, column_stride};
  }
  StridedWeightView weight_at(const Memory& memory, std::int64_t matrix) const {
    return weight_from(memory, weight_batch.offset(matrix));
  }
};

StridedProduct describe(const View& x, const View& weight, const View& y) {
  StridedProduct product{x,
                         weight,
                         y,
                         y.shape[y.shape.size() - 2],
                         y.shape.back(),
                         x.shape.back(),
                         x.strides[x.strides.size() - 2],
                         weight.strides[weight.strides.size() - 2],
                         weight.strides.back(),
                         {},
                         {},
                         {},
                         {}};
  // Of one column or one output, any stride is as good.
  if (product.outputs == 1) product.output_stride = 1;
  if (product.cols == 1) product.column_stride = 1;
  const Shape batch_shape(y.shape.begin(), y.shape.end() - 2);
  product.x_batch = batch_of(x, batch_shape);
  product.weight_batch = batch_of(weight, batch_shape);
  return product;
}

// As the right operand lies in memory.
void add_strided_product(ProgramBuilder& builder, std::int32_t id, const StridedProduct& product) {
  const StridedKernel& kernel = find_strided_kernel(product.weight.dtype, builder.tools().isa);
  Step& step = builder.add_step(id, builder.node(id).name(), {kernel.name, kernel.isa},
                                {product.x.buffer, product.weight.buffer}, {product.y.buffer});
  const std::int64_t slices = product.groups();
  step.units = product.matrices() * slices;
  step.follows = true;
  if (product.is_sized())
    step.units_now = [=](const Memory& memory) { return memory.now(product.matrices_now) * slices; };
  step.split = worth_splitting(step.bytes, step.operations);
  step.run = [=, multiply = kernel.multiply](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    while (begin < end) {
      const std::int64_t matrix = begin / slices, stop = std::min(end, (matrix + 1) * slices);
      multiply(product.weight_at(memory, matrix), product.x_at(memory, matrix),
               (begin - matrix * slices) * packed_group_rows,
               std::min((stop - matrix * slices) * packed_group_rows, product.outputs), product.y_at(memory, matrix),
               product.outputs);
      begin = stop;
    }
  };
}

// The buffer that holds the right operand in the layout of the kernels, every matrix of it once.
int pack_operand(ProgramBuilder& builder, std::int32_t id, const StridedProduct& product) {
  const std::int64_t bytes = product.packed_matrix_bytes(), groups = product.groups();
  const Batch matrices = product.weight_batch.distinct();
  const int packed = builder.add_scratch(bytes * matrices.count(), fmt::format("%{} packed operand", id));
  Step& step = builder.add_step(id, "pack_operand", "pack_strided", {product.weight.buffer}, {packed});
  step.moves_up = true;
  step.units = matrices.count() * groups;
  step.split = worth_splitting(step.bytes, 0);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    while (begin < end) {
      const std::int64_t matrix = begin / groups, stop = std::min(end, (matrix + 1) * groups);
      pack_strided(product.weight.dtype, product.weight_from(memory, matrices.offset(matrix)),
                   reinterpret_cast<std::uint8_t*>(memory.base(packed) + matrix * bytes), begin - matrix * groups,
                   stop - matrix * groups);
      begin = stop;
    }
  };
  return packed;
}

// Rows of a unit, from the shapes alone.
std::int64_t rows_at_once(const StridedProduct& product) {
  const std::int64_t parts =
      std::min(divide_up(min_units, product.matrices() * product.groups()), divide_up(product.rows, row_granule));
  return divide_up(divide_up(product.rows, parts), row_granule) * row_granule;
}

// A right operand that stays in a core's cache may as well meet a few rows at a time: what reads them, such as the
// softmax of scores and the product after it, then finds them in the cache too.
void divide_by_rows(const ProgramBuilder& builder, const StridedProduct& product, Step& step,
                    std::function<void(const Memory& memory, std::int64_t matrix, std::int64_t begin, std::int64_t end)>
                        multiply_rows) {
  constexpr std::int64_t parts_per_worker = 4;
  const std::int64_t rows = product.matrices() * product.rows, granule = std::min(row_granule, product.rows);
  if (product.is_sized() || product.packed_matrix_bytes() > level2_cache_bytes() / 2 ||
      rows < parts_per_worker * granule * builder.workers())
    return;
  // Rows of an x that several matrices meet are no part of its memory that a range of the product's rows has alone.
  std::vector<int> own;
  if (builder.is_whole(product.x) && rows_of(product.x) == rows) own.push_back(product.x.buffer);
  if (builder.is_whole(product.y)) own.push_back(product.y.buffer);
  step.rows = rows;
  step.by_rows = [=, of_matrix = product.rows,
                  multiply = std::move(multiply_rows)](std::int64_t extent) -> std::optional<Division> {
    if (extent != rows) return std::nullopt;
    return Division{rows, granule, own, [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
                      while (begin < end) {
                        const std::int64_t matrix = begin / of_matrix, stop = std::min(end, (matrix + 1) * of_matrix);
                        multiply(memory, matrix, begin - matrix * of_matrix, stop - matrix * of_matrix);
                        begin = stop;
                      }
                    }};
  };
}

void add_packed_product(ProgramBuilder& builder, std::int32_t id, const StridedProduct& product) {
  const int packed = pack_operand(builder, id, product);
  const LinearKernel& kernel = *find_linear_kernel(product.weight.dtype, builder.tools().isa);
  Step& step = builder.add_step(id, builder.node(id).name(), {kernel.name, kernel.isa}, {product.x.buffer, packed},
                                {product.y.buffer});
  const std::int64_t bytes = product.packed_matrix_bytes(), groups = product.groups(),
                     part_rows = rows_at_once(product), parts = divide_up(product.rows, part_rows);
  step.units = product.matrices() * parts * groups;
  step.units_at_once = 4;
  step.follows = true;
  // A batch has all parts of its matrices; the rows of a single one end in the last part that a run has.
  if (product.is_sized())
    step.units_now = [=](const Memory& memory) {
      return memory.now(product.matrices_now) * divide_up(memory.now(product.rows_now), part_rows) * groups;
    };
  step.split = worth_splitting(step.bytes, step.operations);
  const Batch numbers = product.weight_batch.numbers();
  step.run = [=, multiply = kernel.multiply_real](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    while (begin < end) {
      const std::int64_t part = begin / groups, stop = std::min(end, (part + 1) * groups), matrix = part / parts;
      const std::int64_t row = part % parts * part_rows;
      multiply(packed_view(product.weight.dtype, product.outputs, product.cols,
                           memory.base(packed) + numbers.offset(matrix) * bytes),
               product.x_at(memory, matrix), begin - part * groups, stop - part * groups, row,
               std::min(memory.now(product.rows_now), row + part_rows), product.y_at(memory, matrix), product.outputs);
      begin = stop;
    }
  };
  divide_by_rows(builder, product, step,
                 [=, multiply = kernel.multiply_real](const Memory& memory, std::int64_t matrix, std::int64_t row,
                                                      std::int64_t row_end) {
                   multiply(packed_view(product.weight.dtype, product.outputs, product.cols,
                                        memory.base(packed) + numbers.offset(matrix) * bytes),
                            product.x_at(memory, matrix), 0, groups, row, row_end, product.y_at(memory, matrix),
                            product.outputs);
                 });
}

}  // namespace

void add_matmul(ProgramBuilder& builder, std::int32_t id, const View& weight, View y) {
  View x = builder.operand(id, 0);
  if (x.dtype != DType::f32 || !has_contiguous_rows(x)) x = converted_input(builder, id, 0, DType::f32);
  if (const auto matrix = as_matrix(x); matrix && matrices_of(weight) == 1) {
    // All rows meet the same right operand.
    x = *matrix;
    y = *as_matrix(y);
  }
  StridedProduct product = describe(x, weight, y);
  // Where the axes were joined the named one is among the rows, else it is the first of the batch.
  const Extent all = builder.extent(id, 1);
  product.rows_now = {product.rows};
  product.matrices_now = {product.matrices()};
  Extent& named = product.matrices() == 1 ? product.rows_now : product.matrices_now;
  named = {named.at_bound, all.dimension, all.bound};
  const bool lies_well = product.output_stride == 1 || product.column_stride == 1;
  if (product.rows <= max_strided_rows && lies_well)
    add_strided_product(builder, id, product);
  else
    add_packed_product(builder, id, product);
}

}  // namespace lazuli::cpu
