// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/cache_size.h>
#include <lazuli/backends/cpu/host/work_stealing.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/lowering/linear_choice.h>
#include <lazuli/backends/cpu/lowering/linear_epilogue.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/operand_forms.h>
#include <lazuli/backends/cpu/lowering/product_steps.h>
#include <lazuli/backends/cpu/lowering/selection_steps.h>
#include <lazuli/backends/cpu/program/chain.h>

#include <algorithm>
#include <numeric>

namespace lazuli::cpu {
namespace {

// A block of the panel kernels. Narrower tiles read the activations more often.
constexpr std::int64_t panel_columns = 256;
constexpr std::int64_t max_columns = 4096;

// The matrix of results that a chain computes, tile by tile.
struct EpilogueTiles {
  Shape shape;
  std::int64_t rows, columns;
  std::int64_t granule;  // tiles begin at multiples of so many columns
  std::int64_t width;    // columns of one tile
  PanelOrder order;

  bool panels() const { return order == PanelOrder::panels; }
  std::int64_t stored_rows() const { return panels() ? panel_rows(rows) : rows; }
  std::int64_t column_bytes() const { return stored_rows() * static_cast<std::int64_t>(sizeof(float)); }
  std::int64_t bytes() const { return column_bytes() * width; }
  // Of a tile-local buffer, from one column to the next.
  std::int64_t position_bytes() const { return panels() ? column_bytes() : static_cast<std::int64_t>(sizeof(float)); }

  // The whole matrix as a chain addresses it, of which the buffer holds one tile.
  View view(int buffer) const {
    if (panels()) return whole_buffer(buffer, {DType::f32, {stored_rows() * columns}});
    View view = whole_buffer(buffer, {DType::f32, shape});
    std::int64_t stride = width;
    for (std::size_t axis = shape.size() - 1; axis-- > 0;) {
      view.strides[axis] = stride;
      stride *= shape[axis];
    }
    return view;
  }
};

// As many columns as leave half of the cache to the operands of the matmuls.
std::int64_t tile_width(const ProgramBuilder& builder, const Epilogue& epilogue, const EpilogueTiles& tiles) {
  const bool panels = operand_form(builder, epilogue.products[0]) == OperandForm::tiles;
  const auto arrays = static_cast<std::int64_t>(epilogue.products.size());
  const std::int64_t granule = tiles.granule;
  std::int64_t width = level2_cache_bytes() / 2 / (tiles.rows * arrays * static_cast<std::int64_t>(sizeof(float)));
  width = std::clamp(width, panels ? std::max(panel_columns, granule) : granule, std::max(max_columns, granule));
  width = width / granule * granule;
  if (width > panel_columns) width = width / panel_columns * panel_columns;
  return std::min(width, (tiles.columns + granule - 1) / granule * granule);
}

// Whether the whole chain can work on sums in the order the panels leave them in: all arrays are its own, every element
// stands for itself, and what follows takes tiles. That saves a way through memory.
bool stays_in_panels(const ProgramBuilder& builder, std::int32_t id, const Epilogue& epilogue) {
  const GraphNode& current = builder.node(id);
  const Shape& shape = builder.node(epilogue.products[0]).type().shape;
  if (!epilogue.has_body || epilogue.readers.empty() || shape.back() % panel_sums_outputs != 0) return false;
  // A body over elements in the order of panels would compute those of the bound.
  if (builder.node(epilogue.products[0]).type().named) return false;
  if (element_count(shape) / shape.back() < panel_sums_rows) return false;
  const auto leaves_panels = [&](std::int32_t product) { return operand_form(builder, product) == OperandForm::tiles; };
  if (!leaves_panels(epilogue.readers[0])) return false;
  if (!std::all_of(epilogue.products.begin(), epilogue.products.end(), leaves_panels)) return false;
  const auto is_own = [&](ValueId input) {
    return builder.graph().node(input).op == Op::scalar ||
           std::find(epilogue.products.begin(), epilogue.products.end(), input.node) != epilogue.products.end();
  };
  if (!std::all_of(current.inputs.begin(), current.inputs.end(), is_own)) return false;
  return current.op != Op::fused ||
         std::all_of(current.body->nodes.begin(), current.body->nodes.end(), [&](const GraphNode& inner) {
           return inner.type().shape.empty() || inner.type().shape == current.type().shape;
         });
}

EpilogueTiles choose_tiles(const ProgramBuilder& builder, std::int32_t id, const Epilogue& epilogue) {
  EpilogueTiles tiles;
  tiles.shape = builder.node(epilogue.products[0]).type().shape;
  tiles.columns = tiles.shape.back();
  tiles.rows = element_count(tiles.shape) / tiles.columns;
  tiles.granule = epilogue.argmax >= 0 ? argmax_columns : packed_block_columns;
  tiles.width = tile_width(builder, epilogue, tiles);
  tiles.order = stays_in_panels(builder, id, epilogue) ? PanelOrder::panels : PanelOrder::rows;
  return tiles;
}

// The body over so many elements in any order: it knows columns and rows no more.
Graph over_elements(Graph body, std::int64_t elements) {
  for (GraphNode& inner : body.nodes)
    for (Type& type : inner.types)
      if (!type.shape.empty()) type.shape = {elements};
  return body;
}

// The steps of one chain on their way: they are added to the program one by one, and taken out of it as members.
class EpilogueChain {
 public:
  EpilogueChain(ProgramBuilder& builder, std::int32_t id, const Epilogue& epilogue)
      : builder_(builder), id_(id), epilogue_(epilogue), tiles_(choose_tiles(builder, id, epilogue)) {}

  void lower() {
    std::vector<Product> products = make_products();
    first_step_ = builder_.program().steps.size();
    const Product first = products[0];
    const bool few = has_few_rows(products);
    std::int64_t weight_bytes = 0;
    for (const Product& product : products) weight_bytes += product.groups * product.group_bytes;
    for (Product& product : products) add_product(std::move(product));
    std::string name = "linear";
    const View result = results_.at({epilogue_.products[0], 0});
    if (epilogue_.has_body) {
      const bool keeps_result = epilogue_.argmax < 0 && epilogue_.readers.empty();
      divisions_.push_back(add_body(keeps_result ? nullptr : &result));
      name += fmt::format("_{}", builder_.node(id_).name());
    }
    if (!epilogue_.readers.empty())
      divisions_.push_back(
          add_operand_columns(builder_, epilogue_.readers[0], result, rows_now(), tiles_.columns, tiles_.order));
    View maxima;
    if (epilogue_.argmax >= 0) {
      maxima = new_argmax_maxima(builder_, tiles_.rows, tiles_.columns);
      divisions_.push_back(add_argmax_columns(builder_, epilogue_.argmax, result, maxima, rows_now()));
      name += "_argmax";
    }
    Step& chain = join(std::move(name));
    chain.follows = true;
    if (chain.split && few) chain.grain = grain_of(chain.units, weight_bytes);
    chain.first_weights = [first, groups = tiles_.granule / packed_group_rows](std::int64_t begin, std::int64_t end) {
      return first.weights_of(std::min(first.groups, begin * groups), std::min(first.groups, end * groups));
    };
    if (epilogue_.argmax >= 0) add_argmax_of_maxima(builder_, epilogue_.argmax, maxima, tiles_.columns);
  }

 private:
  Extent rows_now() const { return builder_.extent(epilogue_.products[0], tiles_.rows); }

  // The products, whose results lie in tile-local buffers, and before them the steps that make their operands.
  std::vector<Product> make_products() {
    std::vector<Product> products;
    for (std::int32_t id : epilogue_.products) {
      const int buffer = builder_.add_scratch(tiles_.bytes() * builder_.workers(), fmt::format("%{} tile", id));
      locals_.push_back({buffer, tiles_.bytes(), tiles_.position_bytes()});
      const View y = tiles_.view(buffer);
      results_.emplace(ValueId{id, 0}, y);
      products.push_back(make_product(builder_, id, y, tiles_.order));
    }
    return products;
  }

  void add_product(Product product) {
    const std::int64_t granule = std::lcm(tiles_.granule, packed_group_rows * product.groups_at_once);
    divisions_.push_back({tiles_.columns, granule, {}, columns_of(product)});
    std::vector<Product> alone;
    alone.push_back(std::move(product));
    add_products(builder_, std::move(alone));
  }

  // The body in columns. Without a place of its own for the result it works in place, in the tile of the first product;
  // in panels always, where it takes the elements as they come and a column is worth the rows of a panel in elements.
  Division add_body(const View* in_place) {
    const GraphNode& current = builder_.node(id_);
    std::vector<View> operands, results;
    for (ValueId input : current.inputs) {
      const auto product = results_.find(input);
      operands.push_back(product != results_.end() ? product->second : builder_.view(input));
    }
    if (in_place) {
      results.push_back(*in_place);
      // Its forms are found by its buffer.
      builder_.set_view({id_, 0}, whole_buffer(in_place->buffer, current.type()));
    } else {
      for (std::size_t output = 0; output < current.types.size(); ++output)
        results.push_back(builder_.result_view(id_, static_cast<std::int32_t>(output)));
    }
    if (!tiles_.panels()) return add_column_loop(builder_, id_, loop_body(builder_, id_), operands, results);
    const std::int64_t elements = results[0].elements(), columns = current.type().shape.back();
    const Division over =
        add_column_loop(builder_, id_, over_elements(loop_body(builder_, id_), elements), operands, results);
    return {columns,
            panel_sums_outputs,
            {},
            [run = over.run, rows = elements / columns](Memory& memory, std::int64_t begin, std::int64_t end,
                                                        int worker) { run(memory, begin * rows, end * rows, worker); }};
  }

  Step& join(std::string name) {
    std::vector<Step>& steps = builder_.program().steps;
    std::vector<ChainMember> members;
    for (std::size_t i = 0; i < divisions_.size(); ++i)
      members.push_back({std::move(steps[first_step_ + i]), std::move(divisions_[i])});
    steps.resize(first_step_);
    ChainShape shape{tiles_.width, true, std::move(locals_), {}};
    return steps.emplace_back(
        make_chain(std::move(members), std::move(shape), builder_.program().buffers, std::move(name)));
  }

  ProgramBuilder& builder_;
  std::int32_t id_;
  const Epilogue& epilogue_;
  EpilogueTiles tiles_;
  std::vector<TileLocal> locals_;
  std::map<ValueId, View> results_;  // of the products
  std::size_t first_step_ = 0;
  std::vector<Division> divisions_;  // of the steps from the first one on
};

}  // namespace

void lower_epilogue(ProgramBuilder& builder, std::int32_t id, const Epilogue& epilogue) {
  EpilogueChain(builder, id, epilogue).lower();
}

}  // namespace lazuli::cpu
