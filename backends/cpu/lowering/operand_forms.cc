// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/linear_choice.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>
#include <lazuli/backends/cpu/lowering/product.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>

#include <map>

namespace lazuli::cpu {
namespace {

constexpr std::int64_t tile_bytes = 1024;

// A contiguous matrix in memory. Views of one operand may begin at the same element and still differ.
struct Rows {
  int buffer;
  std::int64_t offset, rows, cols;
  auto operator<=>(const Rows&) const = default;
};

// x -> the buffer of its int8 rows, of its bf16 tiles.
struct OperandForms {
  std::map<Rows, int> quantised, tiled;
};

}  // namespace

std::int64_t rows_of(const View& x) { return element_count({x.shape.begin(), x.shape.end() - 1}); }

int quantised_rows_of(ProgramBuilder& builder, std::int32_t id, const View& x) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back();
  const auto [entry, added] = builder.state<OperandForms>().quantised.try_emplace({x.buffer, x.offset, rows, cols}, -1);
  if (!added) return entry->second;
  const auto bytes = static_cast<std::int64_t>(quantised_rows_bytes(rows, cols));
  const int target = builder.add_scratch(bytes, fmt::format("%{} int8 rows", id));
  entry->second = target;
  const QuantiseRowsKernel& kernel = find_quantise_rows_kernel(builder.tools().isa);
  Step& step = builder.add_step(id, "quantise_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
  step.units = rows;
  step.split = worth_splitting(byte_size(x.dtype, rows * cols) + bytes, 0);
  step.run = [=, quantise = kernel.quantise](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    quantise(memory.as<const float>(x), cols, begin, end, quantised_rows(memory.base(target), rows, cols));
  };
  builder.divide_by_rows(step, {x}, {target}, rows);
  return target;
}

int tiled_rows_of(ProgramBuilder& builder, std::int32_t id, const View& x) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back();
  const auto [entry, added] = builder.state<OperandForms>().tiled.try_emplace({x.buffer, x.offset, rows, cols}, -1);
  if (!added) return entry->second;
  const auto bytes = static_cast<std::int64_t>(tiled_rows_bytes(rows, cols));
  const int target = builder.add_scratch(bytes, fmt::format("%{} bf16 tiles", id));
  entry->second = target;
  const TileRowsKernel& kernel = *find_tile_rows_kernel(builder.tools().isa);
  Step& step = builder.add_step(id, "tile_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
  step.units = bytes / (tiled_rows(nullptr, rows, cols).steps * tile_bytes);
  step.split = worth_splitting(byte_size(x.dtype, rows * cols) + bytes, 0);
  step.run = [=, tile = kernel.tile, rows_now = builder.extent(id, rows)](const Memory& memory, std::int64_t begin,
                                                                          std::int64_t end, int) {
    tile(memory.as<const float>(x), cols, begin, end, tiled_rows(memory.base(target), memory.now(rows_now), cols));
  };
  builder.divide_by_rows(step, {x}, {target}, rows, packed_group_rows);
  return target;
}

void forget_forms_of(ProgramBuilder& builder, int buffer) {
  auto& [quantised, tiled] = builder.state<OperandForms>();
  const auto of_buffer = [&](const auto& made) { return made.first.buffer == buffer; };
  std::erase_if(quantised, of_buffer);
  std::erase_if(tiled, of_buffer);
}

namespace {

// A tile-local matrix of so many rows and columns, and the buffer of its form.
struct ColumnForm {
  View x;
  int target;
  Extent rows_now;
  std::int64_t rows, columns, stride;  // elements from one row of x to the next
};

Run quantise_columns(const ColumnForm& form, QuantiseRows quantise) {
  return [=](Memory& memory, std::int64_t begin, std::int64_t end, int) {
    QuantisedRowsView part = quantised_rows(memory.base(form.target), form.rows, form.columns);
    part.values += begin;
    part.scales += begin / packed_block_columns;
    part.half_sums += 2 * (begin / packed_block_columns);
    part.cols = end - begin;
    quantise(memory.as<const float>(form.x) + begin, form.stride, 0, memory.now(form.rows_now), part);
  };
}

Run tile_columns(const ColumnForm& form, TileRows tile) {
  return [=](Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const TiledRowsView whole = tiled_rows(memory.base(form.target), form.rows, form.columns);
    // Two tiles down lie side by side for each step, so that a range of steps is contiguous for 32 rows.
    constexpr std::int64_t tiles_down = 2, rows_down = 32;
    const std::int64_t first = begin / packed_block_columns, rows = memory.now(form.rows_now);
    for (std::int64_t row = 0; row < rows; row += rows_down) {
      const TiledRowsView part{whole.tiles + (row / rows_down * whole.steps + first) * tiles_down * tile_bytes,
                               rows - row, end - begin,
                               (end - begin + packed_block_columns - 1) / packed_block_columns};
      tile(memory.as<const float>(form.x) + row * form.stride + begin, form.stride, 0, tiles_down, part);
    }
  };
}

Run tile_panel_columns(const ColumnForm& form, TilePanelSums tile) {
  return [=](Memory& memory, std::int64_t begin, std::int64_t end, int) {
    tile(memory.as<const float>(form.x), panel_rows(form.rows), begin / packed_block_columns,
         end / packed_block_columns, tiled_rows(memory.base(form.target), form.rows, form.columns));
  };
}

}  // namespace

Division add_operand_columns(ProgramBuilder& builder, std::int32_t reader, const View& x, const Extent& rows_now,
                             std::int64_t columns, PanelOrder order) {
  const std::int64_t rows = rows_now.at_bound;
  const bool tiled = operand_form(builder, reader) == OperandForm::tiles;
  const auto bytes =
      static_cast<std::int64_t>(tiled ? tiled_rows_bytes(rows, columns) : quantised_rows_bytes(rows, columns));
  const int target = builder.add_scratch(bytes, fmt::format("%{} {}", reader, tiled ? "bf16 tiles" : "int8 rows"));
  auto& forms = builder.state<OperandForms>();
  (tiled ? forms.tiled : forms.quantised)[{x.buffer, 0, rows, columns}] = target;
  const ColumnForm form{x,    target,  rows_now,
                        rows, columns, x.shape.size() < 2 ? columns : x.strides[x.strides.size() - 2]};
  Division division{columns, packed_block_columns, {}, {}};
  if (!tiled) {
    const QuantiseRowsKernel& kernel = find_quantise_rows_kernel(builder.tools().isa);
    builder.add_step(reader, "quantise_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
    division.run = quantise_columns(form, kernel.quantise);
    return division;
  }
  const TileRowsKernel& kernel = *find_tile_rows_kernel(builder.tools().isa);
  builder.add_step(reader, "tile_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
  division.run =
      order == PanelOrder::panels ? tile_panel_columns(form, kernel.tile_sums) : tile_columns(form, kernel.tile);
  return division;
}

}  // namespace lazuli::cpu
