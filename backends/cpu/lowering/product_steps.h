// SPDX-License-Identifier: MIT
// Matmuls with packed weights, through the written kernels. Products that read the same x become one step: a list of
// weights, one launch and one barrier.
#pragma once

#include <lazuli/backends/cpu/lowering/product.h>
#include <lazuli/backends/cpu/lowering/program_builder.h>

#include <vector>

namespace lazuli::cpu {

// The step of a packed linear, and of all others of its operand that run beside it.
void lower_products(ProgramBuilder& builder, std::int32_t id);

// The product of linear `id`, whose result goes to `y`, and the steps before it that give its operand the form its
// kernel takes.
Product make_product(ProgramBuilder& builder, std::int32_t id, const View& y, PanelOrder order);
// One step of them all.
Step& add_products(ProgramBuilder& builder, std::vector<Product> products);
// Columns [begin, end) of the product for all rows.
Run columns_of(const Product& product);

}  // namespace lazuli::cpu
