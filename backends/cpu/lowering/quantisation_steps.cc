// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/quantisation_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// Elements of one unit where rows alone are too few to divide the work; a multiple of every block.
constexpr std::int64_t piece_elements = 4096;
constexpr std::int64_t enough_rows = 64;

// Elements in rows of whole blocks, which divide by rows or by pieces of them. Blocks know nothing of each other: any
// cut gives the same bits.
struct BlockRows {
  std::int64_t rows, columns, pieces;  // of a row

  std::int64_t units() const { return rows * pieces; }
  std::int64_t first_element(std::int64_t unit) const {
    return unit / pieces * columns + std::min(unit % pieces * piece_elements, columns);
  }
};

BlockRows rows_of_blocks(const View& x) {
  const std::int64_t columns = x.shape.back(), rows = columns == 0 ? 0 : x.elements() / columns;
  const bool in_pieces = rows < enough_rows && columns > piece_elements;
  return {rows, columns, in_pieces ? (columns + piece_elements - 1) / piece_elements : 1};
}

// `convert` takes what lies at an element of the source to the same element of the target, so many elements.
template <class Convert>
void add_conversion(ProgramBuilder& builder, std::int32_t id, std::string_view name, const View& source,
                    const View& target, DType quantised, Convert convert) {
  const BlockRows blocks = rows_of_blocks(target);
  if (blocks.units() == 0) return;
  Step& step =
      builder.add_step(id, name, fmt::format("{}_{}", name, to_string(quantised)), {source.buffer}, {target.buffer});
  step.units = blocks.units();
  step.split = worth_splitting(step.bytes, scalar_operations * target.elements());
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const std::int64_t first = blocks.first_element(begin), count = blocks.first_element(end) - first;
    convert(memory.at(source) + byte_size(source.dtype, first), count,
            memory.at(target) + byte_size(target.dtype, first));
  };
  if (blocks.pieces == 1) builder.divide_by_rows(step, {source, target}, {}, blocks.rows);
}

void add_decoding(ProgramBuilder& builder, std::int32_t id, const View& source, const View& target) {
  add_conversion(builder, id, "dequantise", source, target, source.dtype,
                 [dtype = source.dtype](const std::byte* from, std::int64_t count, std::byte* to) {
                   dequantise(dtype, from, count, reinterpret_cast<float*>(to));
                 });
}

}  // namespace

void lower_quantise(ProgramBuilder& builder, std::int32_t id) {
  const View source = converted_input(builder, id, 0, DType::f32), target = builder.result_view(id);
  add_conversion(builder, id, "quantise", source, target, target.dtype,
                 [dtype = target.dtype](const std::byte* from, std::int64_t count, std::byte* to) {
                   quantise(dtype, reinterpret_cast<const float*>(from), count, to);
                 });
}

void lower_dequantise(ProgramBuilder& builder, std::int32_t id) {
  const View source = contiguous_input(builder, id, 0);
  add_decoding(builder, id, source, builder.result_view(id));
}

View dequantised_input(ProgramBuilder& builder, std::int32_t id, std::size_t index) {
  const View source = contiguous_input(builder, id, index);
  const View decoded = builder.new_array({DType::f32, source.shape}, fmt::format("%{} decoded", id));
  add_decoding(builder, id, source, decoded);
  return decoded;
}

}  // namespace lazuli::cpu
