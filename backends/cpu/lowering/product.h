// SPDX-License-Identifier: MIT
// A matmul with one packed weight, on its way to become a step or a part of one.
#pragma once

#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/program/step.h>

#include <algorithm>

namespace lazuli::cpu {

struct Product {
  // Outputs of a range of groups for a range of rows.
  using Multiply = std::function<void(Memory& memory, Range groups, Range rows, int worker)>;

  std::int32_t id = -1;  // the linear node
  KernelUse kernel = KernelUse::sgemm();
  Arithmetic arithmetic = Arithmetic::f32;
  View x, y;                      // the operand before it took its form, and the result
  int operand = -1, weight = -1;  // buffers: of the operand in its form, of the weight
  std::vector<int> scratch;       // buffers
  std::int64_t rows = 0;
  Extent rows_now;                           // those of a run
  std::int64_t y_stride = 0;                 // elements from one row of y to the next
  std::int64_t groups = 0;                   // of 16 outputs
  std::int64_t groups_at_once = 1;           // ranges of groups begin at multiples of it
  std::int64_t rows_at_once = 1;             // likewise, ranges of rows
  std::int64_t batch_groups = 1;             // the kernel reads or prepares rows once for so many groups
  const PackedWeightView* packed = nullptr;  // empty until the weight is laid out
  std::int64_t group_bytes = 0;              // of the weights of a group, as their type says
  Multiply multiply;

  std::int64_t units() const { return (groups + groups_at_once - 1) / groups_at_once; }
  std::int64_t groups_before(std::int64_t unit) const { return std::min(groups, unit * groups_at_once); }
  // Once they are laid out.
  std::span<const std::byte> weights_of(std::int64_t group_begin, std::int64_t group_end) const {
    const auto* data = reinterpret_cast<const std::byte*>(packed->data);
    return {data + group_begin * packed->group_bytes,
            static_cast<std::size_t>((group_end - group_begin) * packed->group_bytes)};
  }
};

// Rows as panel kernels compute them.
inline std::int64_t panel_rows(std::int64_t rows) {
  return (rows + panel_sums_rows - 1) / panel_sums_rows * panel_sums_rows;
}

// Whether all products read their weights once, as streams, and cost nothing to begin.
inline bool has_few_rows(const std::vector<Product>& products) {
  return std::all_of(products.begin(), products.end(),
                     [](const Product& product) { return product.rows_at_once == 1 && product.rows <= 2; });
}

}  // namespace lazuli::cpu
