// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/work_stealing.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/linear_choice.h>
#include <lazuli/backends/cpu/lowering/linear_plan.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>
#include <lazuli/backends/cpu/lowering/product_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/operations.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// From a row whose tiles begin a block of theirs.
TiledRowsView rows_of(const TiledRowsView& x, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t tile_row_bytes = 64;
  return {x.tiles + begin * x.steps * tile_row_bytes, end - begin, x.cols, x.steps};
}

// Elements from one row to the next.
std::int64_t row_stride(const View& y) { return y.shape.size() < 2 ? y.shape.back() : y.strides[y.strides.size() - 2]; }

// Several products as one sequence of units, which a range of the step's units cuts by what they cost: for few rows the
// bytes they read; for many, the multiplications, and those are as many for each unit, since x is the same.
class ProductList {
 public:
  explicit ProductList(std::vector<Product> products)
      : products_(std::move(products)), few_rows_(has_few_rows(products_)) {
    for (const Product& product : products_) {
      units_ += product.units();
      total_ += product.units() * cost(product);
    }
  }

  std::int64_t units() const { return units_; }
  std::int64_t cost() const { return total_; }

  void operator()(Memory& memory, std::int64_t begin, std::int64_t end, int worker) const {
    for_each_part(begin, end, [&](const Product& product, std::int64_t group_begin, std::int64_t group_end) {
      product.multiply(memory, {group_begin, group_end}, {0, memory.now(product.rows_now)}, worker);
      return true;
    });
  }

  std::span<const std::byte> first_weights(std::int64_t begin, std::int64_t end) const {
    std::span<const std::byte> first;
    for_each_part(begin, end, [&](const Product& product, std::int64_t group_begin, std::int64_t group_end) {
      first = product.weights_of(group_begin, group_end);
      return false;
    });
    return first;
  }

 private:
  // Matrices without columns still have outputs to set to zero.
  std::int64_t cost(const Product& product) const {
    return (few_rows_ ? std::max<std::int64_t>(product.group_bytes, 1) : 1) * product.groups_at_once;
  }

  template <class Body>
  void for_each_part(std::int64_t begin, std::int64_t end, Body body) const {
    const std::int64_t from = total_ * begin / units_, to = total_ * end / units_;
    std::int64_t before = 0;
    for (const Product& product : products_) {
      const std::int64_t group_begin = groups_up_to(product, from - before),
                         group_end = groups_up_to(product, to - before);
      if (group_begin < group_end && !body(product, group_begin, group_end)) return;
      before += product.units() * cost(product);
    }
  }

  // A unit belongs to the range in which its cost begins.
  std::int64_t groups_up_to(const Product& product, std::int64_t costs) const {
    const std::int64_t units = (std::max<std::int64_t>(costs, 0) + cost(product) - 1) / cost(product);
    return product.groups_before(std::min(units, product.units()));
  }

  std::vector<Product> products_;
  bool few_rows_;
  std::int64_t units_ = 0, total_ = 0;
};

// Prompts: every weight is dequantised once a step, whatever the rows of the chunk, so that chunks agree bit for bit.
void multiply_in_panels(ProgramBuilder& builder, Product& product, PanelOrder order) {
  const PanelKernel& kernel = *panel_kernel_of(builder, product.id);
  product.kernel = {kernel.name, kernel.isa};
  product.arithmetic = Arithmetic::bf16;
  product.groups_at_once = 2;  // pairs share a panel
  product.rows_at_once = panel_sums_rows;
  product.operand = tiled_rows_of(builder, product.id, product.x);
  const std::int64_t rows = product.rows, cols = product.x.shape.back();
  const std::int64_t sums_bytes = panel_scratch_row * std::min(panel_scratch_rows, panel_rows(rows));
  const std::int64_t scratch_bytes = panel_scratch_weights + (order == PanelOrder::panels ? 0 : sums_bytes);
  const int scratch = builder.add_scratch(scratch_bytes * builder.workers(), fmt::format("%{} panels", product.id));
  product.scratch.push_back(scratch);
  product.multiply = [=, packed = product.packed, tiles = product.operand, y = product.y, stride = product.y_stride,
                      multiply = kernel.multiply](Memory& memory, Range groups, Range of_rows, int worker) {
    // Sums in panels are of all rows: only epilogues have them, which divide by columns.
    const TiledRowsView x = rows_of(tiled_rows(memory.base(tiles), rows, cols), of_rows.begin, of_rows.end);
    multiply(*packed, x, groups.begin, groups.end, {memory.as<float>(y) + of_rows.begin * stride, stride, order},
             reinterpret_cast<std::uint8_t*>(memory.base(scratch) + worker * scratch_bytes));
  };
}

void multiply_int8(ProgramBuilder& builder, Product& product, LinearQuantised multiply) {
  product.arithmetic = Arithmetic::int8;
  product.operand = quantised_rows_of(builder, product.id, product.x);
  product.multiply = [=, packed = product.packed, quantised = product.operand, rows = product.rows,
                      cols = product.x.shape.back(), y = product.y,
                      stride = product.y_stride](Memory& memory, Range groups, Range of_rows, int) {
    multiply(*packed, quantised_rows(memory.base(quantised), rows, cols), groups.begin, groups.end, of_rows.begin,
             of_rows.end, memory.as<float>(y), stride);
  };
}

void multiply_real(Product& product, LinearReal multiply) {
  product.operand = product.x.buffer;
  product.batch_groups = 4;
  product.multiply = [=, packed = product.packed, rows = product.rows_now, cols = product.x.shape.back(), x = product.x,
                      y = product.y, stride = product.y_stride](Memory& memory, Range groups, Range of_rows, int) {
    multiply(*packed, RealRowsView{memory.as<const float>(x), memory.now(rows), cols, cols}, groups.begin, groups.end,
             of_rows.begin, of_rows.end, memory.as<float>(y), stride);
  };
}

// The products of the same x that are not part of an epilogue's chain, this one among them.
std::vector<std::int32_t> products_beside(const ProgramBuilder& builder, const LinearPlan& plan, std::int32_t id) {
  const std::vector<std::int32_t>& readers = plan.readers_of_x.at(builder.node(id).inputs[0]);
  std::vector<std::int32_t> beside;
  for (std::int32_t other : readers)
    if (!plan.runs_elsewhere(other)) beside.push_back(other);
  const Tools& tools = builder.tools();
  const bool enabled = tools.fusion.enabled("merged_linear");
  const bool is_first = std::none_of(readers.begin(), readers.end(), [&](std::int32_t reader) {
    return plan.lowered[static_cast<std::size_t>(reader)];
  });
  if (readers.size() > 1 && is_first)
    builder.note("merged_linear", readers,
                 !enabled            ? tools.verdicts.reason_off("merged_linear")
                 : beside.size() > 1 ? ""
                                     : "the other matmuls of this operand run in epilogues");
  return enabled ? beside : std::vector{id};
}

// By rows, all outputs at a time.
void divide_narrow_product(const ProgramBuilder& builder, Step& step, const Product& product) {
  const std::int64_t rows = product.rows, at_once = product.rows_at_once;
  step.units = (rows + at_once - 1) / at_once;
  step.split = worth_splitting(step.bytes, step.operations);
  step.run = [=, multiply = product.multiply, groups = product.groups, rows_now = product.rows_now](
                 Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    multiply(memory, {0, groups}, {begin * at_once, std::min(memory.now(rows_now), end * at_once)}, worker);
  };
  builder.divide_by_rows(step, {product.x, product.y}, {product.operand}, rows, at_once);
}

// By the outputs of all products.
void divide_products(Step& step, std::vector<Product> products) {
  const bool few = has_few_rows(products);
  for (const Product& product : products)
    step.units_at_once = std::max(step.units_at_once, product.batch_groups / product.groups_at_once);
  const auto list = std::make_shared<const ProductList>(std::move(products));
  step.units = list->units();
  step.split = step.units > 1;
  if (step.split && few) step.grain = grain_of(step.units, list->cost());
  step.run = [list](Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    (*list)(memory, begin, end, worker);
  };
  step.first_weights = [list](std::int64_t begin, std::int64_t end) { return list->first_weights(begin, end); };
  step.follows = true;
}

}  // namespace

Product make_product(ProgramBuilder& builder, std::int32_t id, const View& y, PanelOrder order) {
  const GraphNode& constant = builder.graph().node(builder.node(id).inputs[1]);
  Product product;
  product.id = id;
  product.x = converted_input(builder, id, 0, DType::f32);
  product.y = y;
  product.rows = rows_of(product.x);
  product.rows_now = builder.extent(id, product.rows);
  product.y_stride = order == PanelOrder::panels ? panel_rows(product.rows) : row_stride(y);
  const auto [buffer, packed] = builder.add_packed(constant);
  const Type& type = constant.type();
  const std::int64_t cols = type.shape[1];
  product.weight = buffer;
  product.packed = packed;
  product.groups = (type.shape[0] + packed_group_rows - 1) / packed_group_rows;
  product.group_bytes = byte_size(packed_dtype(type.dtype, cols), packed_group_rows * cols);
  if (operand_form(builder, id) == OperandForm::tiles) {
    multiply_in_panels(builder, product, order);
  } else {
    const LinearKernel* kernel = linear_kernel_of(builder, type);
    if (kernel == nullptr) builder.reject(id, "no matmul kernel takes this weight type");
    product.kernel = {kernel->name, kernel->isa};
    if (kernel->multiply)
      multiply_int8(builder, product, kernel->multiply);
    else
      multiply_real(product, kernel->multiply_real);
  }
  return product;
}

void lower_products(ProgramBuilder& builder, std::int32_t id) {
  struct Copy {
    std::int32_t id;
    View from, to;
  };
  auto& plan = builder.state<LinearPlan>();
  std::vector<Copy> copies;
  std::vector<Product> products;
  for (std::int32_t other : products_beside(builder, plan, id)) {
    plan.lowered[static_cast<std::size_t>(other)] = true;
    const View result = builder.result_view(other);
    View y = result;
    if (y.dtype != DType::f32) {
      y = builder.new_array({DType::f32, y.shape}, fmt::format("%{} f32", other));
      copies.push_back({other, y, result});
    }
    products.push_back(make_product(builder, other, y, PanelOrder::rows));
  }
  add_products(builder, std::move(products));
  for (const Copy& copy : copies) lower_copy(builder, copy.id, copy.from, copy.to);
}

Run columns_of(const Product& product) {
  return [multiply = product.multiply, rows = product.rows_now, groups = product.groups](
             Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    const std::int64_t last = (end + packed_group_rows - 1) / packed_group_rows;
    multiply(memory, {begin / packed_group_rows, std::min(last, groups)}, {0, memory.now(rows)}, worker);
  };
}

Step& add_products(ProgramBuilder& builder, std::vector<Product> products) {
  const bool several = products.size() > 1;
  const GraphNode& first = builder.node(products[0].id);
  std::vector<int> reads, writes, scratch;
  Scope::Ref scope = first.scope;
  std::vector<Source> from;
  std::int64_t operations = 0;
  for (const Product& product : products) {
    const GraphNode& linear = builder.node(product.id);
    operations += count_operations(builder.graph(), linear);
    for (int buffer : {product.operand, product.weight})
      if (std::find(reads.begin(), reads.end(), buffer) == reads.end()) reads.push_back(buffer);
    writes.push_back(product.y.buffer);
    scratch.insert(scratch.end(), product.scratch.begin(), product.scratch.end());
    scope = common_scope(scope, linear.scope);
    from = merge_sources(from, linear.from);
  }
  Step& step = builder.add_step(products[0].id, several ? "merged_linear" : first.name(), products[0].kernel,
                                std::move(reads), std::move(writes));
  for (const Product& product : products) add_kernel(step.kernels, product.kernel);
  step.described.scope = std::move(scope);
  step.described.from = std::move(from);
  step.operations = operations;
  step.kind = StepKind::matmul;
  step.arithmetic = products[0].arithmetic;
  step.writes.insert(step.writes.end(), scratch.begin(), scratch.end());
  if (!several && is_narrow_linear(builder, products[0].id))
    divide_narrow_product(builder, step, products[0]);
  else
    divide_products(step, std::move(products));
  return step;
}

}  // namespace lazuli::cpu
