// Matmuls with packed weights, through the written kernels. Products that read the same x become one step: a list of
// weights, one launch and one barrier.
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/shared_work.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/lowering.h>
#include <lazuli/backends/cpu/lowering/product.h>
#include <lazuli/graph/operations.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>

namespace lazuli::cpu {
namespace {

// Weights of more outputs are vocabulary heads, which a prompt asks for on its last row alone: unpacking them for one
// row would take longer than the row. Decided by the weight, not by the rows at hand, so that chunks agree bit for bit.
constexpr std::int64_t most_panel_outputs = 64 * 1024;

// Of an operand: below, a second thread costs more than it brings.
constexpr std::int64_t elements_worth_splitting = 32 * 1024;

// All axes but the last, as one.
std::int64_t rows_of(const View& x) { return element_count({x.shape.begin(), x.shape.end() - 1}); }

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
      product.multiply(memory, group_begin, group_end, 0, product.rows, worker);
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

// What the weight store makes of a matrix.
DType packed_dtype(const Type& weight) { return can_pack(weight.dtype, weight.shape[1]) ? weight.dtype : DType::f32; }

}  // namespace

void Lowering::plan_products() {
  lowered_.assign(graph_.nodes.size(), false);
  epilogue_of_.assign(graph_.nodes.size(), -1);
  for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
    if (is_packed_linear(static_cast<std::int32_t>(id)))
      readers_of_x_[graph_.nodes[id].inputs[0]].push_back(static_cast<std::int32_t>(id));
}

bool Lowering::is_packed_linear(std::int32_t id) const {
  return node(id).op == Op::linear && tools_.precision == Precision::fast && node(id).type().elements() > 0 &&
         graph_.node(node(id).inputs[1]).op == Op::constant;
}

const PanelKernel* Lowering::panel_of(std::int32_t id) const {
  const Type& weight = graph_.type(node(id).inputs[1]);
  const bool many_rows = graph_.phase == Phase::prefill && weight.shape[0] <= most_panel_outputs;
  return many_rows && weight.shape[1] > 0 ? find_panel_kernel(packed_dtype(weight), tools_.isa) : nullptr;
}

// Whether outputs are too few to divide among threads, and rows are many.
bool Lowering::is_narrow_linear(std::int32_t id) const {
  const std::int64_t outputs = graph_.type(node(id).inputs[1]).shape[0], rows = node(id).type().elements() / outputs;
  return panel_of(id) ? outputs <= panel_sums_outputs && rows >= 4 * panel_sums_rows
                      : outputs <= packed_group_rows && rows >= 4;
}

Lowering::OperandForm Lowering::operand_form(std::int32_t id) const {
  if (panel_of(id)) return OperandForm::tiles;
  const Type& weight = graph_.type(node(id).inputs[1]);
  const LinearKernel* kernel = find_linear_kernel(packed_dtype(weight), tools_.isa);
  return kernel && kernel->multiply ? OperandForm::int8 : OperandForm::real;
}

// The int8 form of x, made once for all its readers.
int Lowering::quantised_rows_of(std::int32_t id, const View& x) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back();
  const auto [entry, added] = quantised_.try_emplace({x.buffer, x.offset, rows, cols}, -1);
  if (!added) return entry->second;
  const int target =
      add_scratch(static_cast<std::int64_t>(quantised_rows_bytes(rows, cols)), fmt::format("%{} int8 rows", id));
  entry->second = target;
  const QuantiseRowsKernel& kernel = find_quantise_rows_kernel(tools_.isa);
  Step& step = add_step(id, "quantise_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
  step.units = rows;
  step.split = rows * cols >= elements_worth_splitting;
  step.run = [=, quantise = kernel.quantise](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    quantise(memory.as<const float>(x), cols, begin, end, quantised_rows(memory.base(target), rows, cols));
  };
  divide_by_rows(step, {x}, {target}, rows);
  return target;
}

// The bf16 tiles of x, likewise.
int Lowering::tiled_rows_of(std::int32_t id, const View& x) {
  const std::int64_t rows = rows_of(x), cols = x.shape.back();
  const auto [entry, added] = tiled_.try_emplace({x.buffer, x.offset, rows, cols}, -1);
  if (!added) return entry->second;
  const auto bytes = static_cast<std::int64_t>(tiled_rows_bytes(rows, cols));
  const int target = add_scratch(bytes, fmt::format("%{} bf16 tiles", id));
  entry->second = target;
  const TileRowsKernel& kernel = *find_tile_rows_kernel(tools_.isa);
  Step& step = add_step(id, "tile_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
  step.units = bytes / (tiled_rows(nullptr, rows, cols).steps * 1024);
  step.split = rows * cols >= elements_worth_splitting;
  step.run = [=, tile = kernel.tile](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    tile(memory.as<const float>(x), cols, begin, end, tiled_rows(memory.base(target), rows, cols));
  };
  divide_by_rows(step, {x}, {target}, rows, packed_group_rows);
  return target;
}

// Prompts: every weight is dequantised once a step, whatever the rows of the chunk, so that chunks agree bit for bit.
Product Lowering::make_product(std::int32_t id, const View& y, PanelOrder order) {
  const View x = converted_input(id, 0, DType::f32);
  const GraphNode& constant = graph_.node(node(id).inputs[1]);
  const auto stored = tools_.weights.packed(constant, tools_.executor);
  result_.weights.push_back(stored);
  const PackedWeightView packed = lazuli::view(stored->packed);
  const std::int64_t rows = rows_of(x), cols = x.shape.back();
  const std::int64_t stride = order == PanelOrder::panels ? panel_rows(rows) : row_stride(y);
  Product product;
  product.id = id;
  product.x = x;
  product.y = y;
  product.rows = rows;
  product.outputs = constant.type().shape[0];
  product.groups = stored->packed.groups();
  product.weights = stored->packed.data->data();
  product.group_bytes = packed.group_bytes;
  product.writes = {y.buffer};
  int operand = x.buffer;
  if (const PanelKernel* panel = panel_of(id)) {
    product.kernel = {panel->name, panel->isa};
    product.arithmetic = Arithmetic::bf16;
    product.groups_at_once = 2;  // pairs share a panel
    product.rows_at_once = panel_sums_rows;
    operand = tiled_rows_of(id, x);
    const std::int64_t sums_bytes = panel_scratch_row * std::min(panel_scratch_rows, panel_rows(rows));
    const std::int64_t scratch_bytes = panel_scratch_weights + (order == PanelOrder::panels ? 0 : sums_bytes);
    const int scratch = add_scratch(scratch_bytes * tools_.executor.size(), fmt::format("%{} panels", id));
    product.writes.push_back(scratch);
    product.multiply = [=, multiply = panel->multiply](Memory& memory, std::int64_t begin, std::int64_t end,
                                                       std::int64_t row_begin, std::int64_t row_end, int worker) {
      // Sums in panels are of all rows: only epilogues have them, which divide by columns.
      const TiledRowsView part = rows_of(tiled_rows(memory.base(operand), rows, cols), row_begin, row_end);
      multiply(packed, part, begin, end, {memory.as<float>(y) + row_begin * stride, stride, order},
               reinterpret_cast<std::uint8_t*>(memory.base(scratch) + worker * scratch_bytes));
    };
  } else {
    const LinearKernel* kernel = find_linear_kernel(stored->packed.source, tools_.isa);
    if (kernel == nullptr) reject(id, "no matmul kernel takes this weight type");
    product.kernel = {kernel->name, kernel->isa};
    if (kernel->multiply) {
      operand = quantised_rows_of(id, x);
      product.arithmetic = Arithmetic::int8;
      product.multiply = [=, multiply = kernel->multiply](Memory& memory, std::int64_t begin, std::int64_t end,
                                                          std::int64_t row_begin, std::int64_t row_end, int) {
        multiply(packed, quantised_rows(memory.base(operand), rows, cols), begin, end, row_begin, row_end,
                 memory.as<float>(y), stride);
      };
    } else {
      product.multiply = [=, multiply = kernel->multiply_real](Memory& memory, std::int64_t begin, std::int64_t end,
                                                               std::int64_t row_begin, std::int64_t row_end, int) {
        multiply(packed, RealRowsView{memory.as<const float>(x), rows, cols, cols}, begin, end, row_begin, row_end,
                 memory.as<float>(y), stride);
      };
    }
  }
  product.reads = {operand, add_constant(stored->packed.data, constant.type(), constant.label)};
  return product;
}

// The products of the same x that are not part of an epilogue's chain, this one among them.
std::vector<std::int32_t> Lowering::products_beside(std::int32_t id) const {
  const std::vector<std::int32_t>& readers = readers_of_x_.at(node(id).inputs[0]);
  std::vector<std::int32_t> beside;
  for (std::int32_t other : readers) {
    const auto index = static_cast<std::size_t>(other);
    if (!lowered_[index] && epilogue_of_[index] < 0) beside.push_back(other);
  }
  const bool enabled = tools_.fusion.enabled("merged_linear");
  const bool is_first = std::none_of(readers.begin(), readers.end(),
                                     [&](std::int32_t reader) { return lowered_[static_cast<std::size_t>(reader)]; });
  if (readers.size() > 1 && is_first)
    note("merged_linear", readers,
         !enabled            ? tools_.verdicts.reason_off("merged_linear")
         : beside.size() > 1 ? ""
                             : "the other matmuls of this operand run in epilogues");
  return enabled ? beside : std::vector{id};
}

void Lowering::lower_products(std::int32_t id) {
  struct Copy {
    std::int32_t id;
    View from, to;
  };
  std::vector<Copy> copies;
  std::vector<Product> products;
  for (std::int32_t other : products_beside(id)) {
    lowered_[static_cast<std::size_t>(other)] = true;
    const View result = result_view(other);
    View y = result;
    if (y.dtype != DType::f32) {
      y = new_array({DType::f32, y.shape}, fmt::format("%{} f32", other));
      copies.push_back({other, y, result});
    }
    products.push_back(make_product(other, y, PanelOrder::rows));
  }
  add_products(std::move(products));
  for (const Copy& copy : copies) lower_copy(copy.id, copy.from, copy.to);
}

// Columns [begin, end) of the product for all rows.
Run Lowering::columns_of(const Product& product) {
  return [multiply = product.multiply, rows = product.rows, groups = product.groups](Memory& memory, std::int64_t begin,
                                                                                     std::int64_t end, int worker) {
    const std::int64_t last = (end + packed_group_rows - 1) / packed_group_rows;
    multiply(memory, begin / packed_group_rows, std::min(last, groups), 0, rows, worker);
  };
}

// By rows, all outputs at a time.
void Lowering::divide_narrow_product(Step& step, const Product& product) {
  const std::int64_t rows = product.rows, at_once = product.rows_at_once;
  step.units = (rows + at_once - 1) / at_once;
  step.split = rows * product.x.shape.back() >= elements_worth_splitting;
  step.run = [=, multiply = product.multiply, groups = product.groups](Memory& memory, std::int64_t begin,
                                                                       std::int64_t end, int worker) {
    multiply(memory, 0, groups, begin * at_once, std::min(rows, end * at_once), worker);
  };
  divide_by_rows(step, {product.x, product.y}, {product.reads[0]}, rows, at_once);
}

Step& Lowering::add_products(std::vector<Product> products) {
  const bool several = products.size() > 1;
  std::vector<int> reads, writes, scratch;
  Scope::Ref scope = node(products[0].id).scope;
  std::vector<Source> from;
  std::int64_t operations = 0;
  for (const Product& product : products) {
    operations += count_operations(graph_, node(product.id));
    for (int buffer : product.reads)
      if (std::find(reads.begin(), reads.end(), buffer) == reads.end()) reads.push_back(buffer);
    writes.push_back(product.writes[0]);
    scratch.insert(scratch.end(), product.writes.begin() + 1, product.writes.end());
    scope = common_scope(scope, node(product.id).scope);
    from = merge_sources(from, node(product.id).from);
  }
  Step& step = add_step(products[0].id, several ? "merged_linear" : node(products[0].id).name(), products[0].kernel,
                        std::move(reads), std::move(writes));
  for (const Product& product : products) add_kernel(step.kernels, product.kernel);
  step.described.scope = std::move(scope);
  step.described.from = std::move(from);
  step.operations = operations;
  step.kind = StepKind::matmul;
  step.arithmetic = products[0].arithmetic;
  step.writes.insert(step.writes.end(), scratch.begin(), scratch.end());
  if (!several && is_narrow_linear(products[0].id)) {
    divide_narrow_product(step, products[0]);
    return step;
  }
  const bool few = has_few_rows(products);
  const auto list = std::make_shared<const ProductList>(std::move(products));
  step.units = list->units();
  step.split = step.units > 1;
  if (step.split && few) step.piece = piece_of(step.units, list->cost());
  step.run = [list](Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    (*list)(memory, begin, end, worker);
  };
  step.first_weights = [list](std::int64_t begin, std::int64_t end) { return list->first_weights(begin, end); };
  return step;
}

}  // namespace lazuli::cpu
