// SPDX-License-Identifier: MIT
// Every kernel of kernels.def, declared; included by the units that define them and by the registry.
#pragma once

#include <lazuli/backends/cpu/kernels/formats/linear_views.h>

namespace lazuli {

#define LAZULI_LINEAR_QUANTISED(type, isa)                                                                         \
  void linear_##type##_##isa(const PackedWeightView& weight, const QuantisedRowsView& x, std::int64_t group_begin, \
                             std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,       \
                             std::int64_t y_stride);
#define LAZULI_LINEAR_REAL(type, isa)                                                                         \
  void linear_##type##_##isa(const PackedWeightView& weight, const RealRowsView& x, std::int64_t group_begin, \
                             std::int64_t group_end, std::int64_t row_begin, std::int64_t row_end, float* y,  \
                             std::int64_t y_stride);
#define LAZULI_LINEAR_STRIDED(type, isa)                                                           \
  void linear_strided_##type##_##isa(const StridedWeightView& weight, const RealRowsView& x,       \
                                     std::int64_t output_begin, std::int64_t output_end, float* y, \
                                     std::int64_t y_stride);
#define LAZULI_QUANTISE_ROWS(isa)                                                                               \
  void quantise_rows_##isa(const float* x, std::int64_t x_stride, std::int64_t row_begin, std::int64_t row_end, \
                           const QuantisedRowsView& out);
#define LAZULI_LINEAR_PANEL(type, isa)                                                                               \
  void linear_panel_##type##_##isa(const PackedWeightView& weight, const TiledRowsView& x, std::int64_t group_begin, \
                                   std::int64_t group_end, const PanelSumsView& y, std::uint8_t* scratch);
#define LAZULI_TILE_ROWS(isa)                                                                                 \
  void tile_rows_##isa(const float* x, std::int64_t x_stride, std::int64_t tile_begin, std::int64_t tile_end, \
                       const TiledRowsView& out);                                                             \
  void tile_panel_sums_##isa(const float* sums, std::int64_t sums_stride, std::int64_t step_begin,            \
                             std::int64_t step_end, const TiledRowsView& out);
#include <lazuli/backends/cpu/kernels/linear/kernels.def>

}  // namespace lazuli
