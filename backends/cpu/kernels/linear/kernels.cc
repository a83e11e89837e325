// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>
#include <lazuli/graph/base/fail.h>

namespace lazuli {
namespace {

constexpr LinearKernel linear_table[] = {
#define LAZULI_LINEAR_QUANTISED(type, isa) \
  {DType::type, Isa::isa, "linear_" #type "_" #isa, linear_##type##_##isa, nullptr},
#define LAZULI_LINEAR_REAL(type, isa) {DType::type, Isa::isa, "linear_" #type "_" #isa, nullptr, linear_##type##_##isa},
#include <lazuli/backends/cpu/kernels/linear/kernels.def>
};

constexpr StridedKernel strided_table[] = {
#define LAZULI_LINEAR_STRIDED(type, isa) \
  {DType::type, Isa::isa, "linear_strided_" #type "_" #isa, linear_strided_##type##_##isa},
#include <lazuli/backends/cpu/kernels/linear/kernels.def>
};

constexpr QuantiseRowsKernel quantise_rows_table[] = {
#define LAZULI_QUANTISE_ROWS(isa) {Isa::isa, "quantise_rows_" #isa, quantise_rows_##isa},
#include <lazuli/backends/cpu/kernels/linear/kernels.def>
};

constexpr PanelKernel panel_table[] = {
#define LAZULI_LINEAR_PANEL(type, isa) \
  {DType::type, Isa::isa, "linear_panel_" #type "_" #isa, linear_panel_##type##_##isa},
#include <lazuli/backends/cpu/kernels/linear/kernels.def>
};

constexpr TileRowsKernel tile_rows_table[] = {
#define LAZULI_TILE_ROWS(isa) {Isa::isa, "tile_rows_" #isa, tile_rows_##isa, tile_panel_sums_##isa},
#include <lazuli/backends/cpu/kernels/linear/kernels.def>
};

}  // namespace

std::span<const PanelKernel> panel_kernels() { return panel_table; }

const PanelKernel* find_panel_kernel(DType source, Isa at_most) {
  for (const PanelKernel& kernel : panel_table) {
    if (kernel.source == source && kernel.isa <= at_most) return &kernel;
  }
  return nullptr;
}

const TileRowsKernel* find_tile_rows_kernel(Isa at_most) {
  for (const TileRowsKernel& kernel : tile_rows_table) {
    if (kernel.isa <= at_most) return &kernel;
  }
  return nullptr;
}

std::span<const LinearKernel> linear_kernels() { return linear_table; }

std::span<const QuantiseRowsKernel> quantise_rows_kernels() { return quantise_rows_table; }

const LinearKernel* find_linear_kernel(DType source, Isa at_most) {
  for (const LinearKernel& kernel : linear_table) {
    if (kernel.source == source && kernel.isa <= at_most) return &kernel;
  }
  return nullptr;
}

const StridedKernel& find_strided_kernel(DType source, Isa at_most) {
  for (const StridedKernel& kernel : strided_table) {
    if (kernel.source == source && kernel.isa <= at_most) return kernel;
  }
  fail_internal("no kernel for right operands of {} at level {}", to_string(source), to_string(at_most));
}

const QuantiseRowsKernel& find_quantise_rows_kernel(Isa at_most) {
  for (const QuantiseRowsKernel& kernel : quantise_rows_table) {
    if (kernel.isa <= at_most) return kernel;
  }
  fail_internal("no quantise_rows kernel at level {}", to_string(at_most));
}

}  // namespace lazuli
