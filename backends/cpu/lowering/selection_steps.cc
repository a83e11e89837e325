// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/rows/argmax.h>
#include <lazuli/backends/cpu/kernels/rows/largest.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/selection_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <algorithm>
#include <numeric>

namespace lazuli::cpu {
namespace {

// What argmax and argmin differ in.
struct Extreme {
  Best (*of_range)(const float* row, std::int64_t begin, std::int64_t end);
  Best (*of_two)(const Best& a, const Best& b);
  bool smallest;
};
Extreme extreme_of(Op op) {
  return op == Op::argmin ? Extreme{argmin_range, smaller_of, true} : Extreme{argmax_range, larger_of, false};
}

template <class T, bool smallest>
std::int64_t first_extreme(const std::byte* row, std::int64_t columns) {
  const auto* values = reinterpret_cast<const T*>(row);
  return (smallest ? std::min_element(values, values + columns) : std::max_element(values, values + columns)) - values;
}

// NaN stands before all numbers.
template <bool smallest>
std::int64_t first_extreme_double(const std::byte* row, std::int64_t columns) {
  const auto* values = reinterpret_cast<const double*>(row);
  if (smallest)
    return std::min_element(values, values + columns, [](double a, double b) { return a < b || (a != a && b == b); }) -
           values;
  return std::max_element(values, values + columns, [](double a, double b) { return a < b || (a == a && b != b); }) -
         values;
}

// For what f32 does not tell apart; null for all other dtypes.
using FirstExtreme = std::int64_t (*)(const std::byte* row, std::int64_t columns);
FirstExtreme first_extreme_of(DType dtype, bool smallest) {
  switch (dtype) {
    case DType::i32:
      return smallest ? first_extreme<std::int32_t, true> : first_extreme<std::int32_t, false>;
    case DType::u32:
      return smallest ? first_extreme<std::uint32_t, true> : first_extreme<std::uint32_t, false>;
    case DType::i64:
      return smallest ? first_extreme<std::int64_t, true> : first_extreme<std::int64_t, false>;
    case DType::u64:
      return smallest ? first_extreme<std::uint64_t, true> : first_extreme<std::uint64_t, false>;
    case DType::f64:
      return smallest ? first_extreme_double<true> : first_extreme_double<false>;
    default:
      return nullptr;
  }
}

std::int64_t ranges_of(std::int64_t columns) { return (columns + argmax_columns - 1) / argmax_columns; }

View new_maxima(ProgramBuilder& builder, std::int64_t count) {
  return builder.new_array({DType::u8, {count * static_cast<std::int64_t>(sizeof(Best))}}, "partial extremes");
}

// Of the bests of `ranges` ranges a row, the best.
void add_combine(ProgramBuilder& builder, std::int32_t id, const View& maxima, std::int64_t ranges) {
  const View target = builder.result_view(id);
  const Extreme extreme = extreme_of(builder.node(id).op);
  const char* name = extreme.smallest ? "argmin_combine" : "argmax_combine";
  Step& step = builder.add_step(id, name, name, {maxima.buffer}, {target.buffer});
  step.units = target.elements();
  step.row_major = true;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      Best best = memory.as<Best>(maxima)[row * ranges];
      for (std::int64_t range = 1; range < ranges; ++range)
        best = extreme.of_two(best, memory.as<Best>(maxima)[row * ranges + range]);
      memory.as<std::int32_t>(target)[row] = static_cast<std::int32_t>(best.index);
    }
  };
}

// The operand with the axis last, contiguous, in a dtype that kernels compare.
View rows_to_compare(ProgramBuilder& builder, std::int32_t id) {
  const std::int64_t axis = builder.node(id).as<AxisAttrs>().axis;
  View source = builder.operand(id, 0);
  Dims permutation(source.shape.size());
  std::iota(permutation.begin(), permutation.end(), 0);
  permutation.erase(permutation.begin() + axis);
  permutation.push_back(axis);
  source = *apply_view(Op::transpose, TransposeAttrs{permutation}, source);
  // The dtypes without a comparison of their own keep their order in f32.
  const DType compared = first_extreme_of(source.dtype, false) ? source.dtype : DType::f32;
  if (source.dtype == compared && source.contiguous()) return source;
  const View copy = builder.new_array({compared, source.shape}, fmt::format("%{} {}", id, to_string(compared)));
  lower_copy(builder, id, source, copy);
  return copy;
}

Run extreme_by(const View& source, const View& target, FirstExtreme first_extreme) {
  const std::int64_t columns = source.shape.back();
  return [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::byte* values = memory.at(source) + byte_size(source.dtype, row * columns);
      memory.as<std::int32_t>(target)[row] = static_cast<std::int32_t>(first_extreme(values, columns));
    }
  };
}

Run extreme_of_rows(const View& source, const View& target, const Extreme& extreme) {
  const std::int64_t columns = source.shape.back();
  return [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const Best best = extreme.of_range(memory.as<const float>(source) + row * columns, 0, columns);
      memory.as<std::int32_t>(target)[row] = static_cast<std::int32_t>(best.index);
    }
  };
}

// Of each of `ranges` equal ranges of a row.
Run extreme_of_ranges(const View& source, const View& found, std::int64_t ranges, const Extreme& extreme) {
  const std::int64_t columns = source.shape.back();
  return [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t row = unit / ranges, range = unit % ranges;
      memory.as<Best>(found)[unit] = extreme.of_range(memory.as<const float>(source) + row * columns,
                                                      columns * range / ranges, columns * (range + 1) / ranges);
    }
  };
}

}  // namespace

void lower_extreme(ProgramBuilder& builder, std::int32_t id) {
  const View source = rows_to_compare(builder, id);
  const Extreme extreme = extreme_of(builder.node(id).op);
  const FirstExtreme by_itself = first_extreme_of(source.dtype, extreme.smallest);
  const std::int64_t columns = source.shape.back(),
                     rows = element_count(source.shape) / std::max<std::int64_t>(columns, 1);
  // Long rows divide into one range a worker; what they found meets in add_combine.
  const bool by_range = !by_itself && rows < builder.workers() && columns >= 64 * 1024;
  const std::int64_t ranges = by_range ? builder.workers() : 1;
  const View found = by_range ? new_maxima(builder, rows * ranges) : builder.result_view(id);
  Step& step = builder.add_step(id, builder.node(id).name(), std::string(builder.node(id).name()), {source.buffer},
                                {found.buffer});
  step.units = rows * ranges;
  step.row_major = true;
  step.split = worth_splitting(byte_size(source.dtype, rows * columns), 0);
  step.run = by_itself  ? extreme_by(source, found, by_itself)
             : by_range ? extreme_of_ranges(source, found, ranges, extreme)
                        : extreme_of_rows(source, found, extreme);
  if (by_range) add_combine(builder, id, found, ranges);
}

View new_argmax_maxima(ProgramBuilder& builder, std::int64_t rows, std::int64_t columns) {
  return new_maxima(builder, rows * ranges_of(columns));
}

Division add_argmax_columns(ProgramBuilder& builder, std::int32_t id, const View& x, const View& maxima,
                            const Extent& rows_now) {
  const std::int64_t columns = x.shape.back(), ranges = ranges_of(columns);
  const std::int64_t stride = x.shape.size() < 2 ? columns : x.strides[x.strides.size() - 2];
  builder.add_step(id, "argmax", "argmax", {x.buffer}, {maxima.buffer});
  return {columns, argmax_columns, {}, [=](Memory& memory, std::int64_t begin, std::int64_t end, int) {
            const std::int64_t rows = memory.now(rows_now);
            for (std::int64_t row = 0; row < rows; ++row)
              for (std::int64_t first = begin; first < end; first += argmax_columns)
                memory.as<Best>(maxima)[row * ranges + first / argmax_columns] = argmax_range(
                    memory.as<const float>(x) + row * stride, first, std::min(end, first + argmax_columns));
          }};
}

void add_argmax_of_maxima(ProgramBuilder& builder, std::int32_t id, const View& maxima, std::int64_t columns) {
  add_combine(builder, id, maxima, ranges_of(columns));
}

void lower_top_k(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View source = contiguous_input(builder, id, 0);
  const View values = builder.result_view(id, 0), indices = builder.result_view(id, 1);
  const std::int64_t columns = source.shape.back(), k = current.as<TopKAttrs>().k;
  const std::int64_t rows = columns > 0 ? source.elements() / columns : 0;
  if (rows == 0) return;
  Step& step = builder.add_step(id, current.name(), "top_k", {source.buffer}, {values.buffer, indices.buffer});
  step.units = rows;
  step.row_major = true;
  step.split = worth_splitting(step.bytes, rows * columns * scalar_operations);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const std::int64_t element = info(source.dtype).block_bytes;
    for (std::int64_t row = begin; row < end; ++row)
      find_largest(source.dtype, memory.at(source) + row * columns * element, columns, k,
                   memory.at(values) + row * k * element, memory.as<std::int32_t>(indices) + row * k);
  };
}

}  // namespace lazuli::cpu
