// SPDX-License-Identifier: MIT
// The registry of matmul kernels: one list (kernels.def), chosen from by weight type and instruction-set level.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/graph/types/dtype.h>

#include <span>

namespace lazuli {

struct LinearKernel {
  DType source;
  Isa isa;
  const char* name;          // symbol, as printed in profiles: "linear_q8_0_avx512"
  LinearQuantised multiply;  // null for plain weight types
  LinearReal multiply_real;  // null for block-quantised weight types
};

// For few rows and a right operand that no weight is packed from.
struct StridedKernel {
  DType source;
  Isa isa;
  const char* name;
  LinearStrided multiply;
};

struct QuantiseRowsKernel {
  Isa isa;
  const char* name;
  QuantiseRows quantise;
};

// For programs of many rows (Phase::prefill). Present where bf16 tiles are worth it.
struct PanelKernel {
  DType source;
  Isa isa;
  const char* name;
  LinearPanel multiply;
};

struct TileRowsKernel {
  Isa isa;
  const char* name;
  TileRows tile;
  TilePanelSums tile_sums;
};

std::span<const PanelKernel> panel_kernels();
// Null where the level has none.
const PanelKernel* find_panel_kernel(DType source, Isa at_most);
const TileRowsKernel* find_tile_rows_kernel(Isa at_most);

std::span<const LinearKernel> linear_kernels();
std::span<const QuantiseRowsKernel> quantise_rows_kernels();

// The best kernel for weights of type `source` at a level up to `at_most`; null when no kernel takes that type.
// The caller makes sure that the host supports `at_most`.
const LinearKernel* find_linear_kernel(DType source, Isa at_most);
// Of a plain type.
const StridedKernel& find_strided_kernel(DType source, Isa at_most);
const QuantiseRowsKernel& find_quantise_rows_kernel(Isa at_most);

}  // namespace lazuli
