// Elementwise work on the results of matmuls, done while they are in cache: the products, the body, and the next
// matmul's operand form (or the argmax of greedy decoding) become one chain over columns. What only the chain reads
// exists for one piece of columns at a time and is never written to memory.
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/cache_size.h>
#include <lazuli/backends/cpu/host/shared_work.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/kernels/rows/argmax.h>
#include <lazuli/backends/cpu/lowering/lowering.h>
#include <lazuli/backends/cpu/lowering/product.h>
#include <lazuli/backends/cpu/program/chain.h>
#include <lazuli/passes/fusion_choice.h>

#include <algorithm>
#include <numeric>

namespace lazuli::cpu {
namespace {

// A maximum is kept for each so many columns, which are also the least a worker takes.
constexpr std::int64_t argmax_columns = 256;
// A block of the panel kernels. Narrower pieces read the activations more often.
constexpr std::int64_t panel_columns = 256;
constexpr std::int64_t most_columns = 4096;

bool is_elementwise_body(const GraphNode& node) {
  if (node.op != Op::fused) return is_elementwise(node.op);
  const auto fits = [](const GraphNode& inner) {
    return inner.op == Op::input || inner.op == Op::scalar || inner.op == Op::broadcast_to || is_elementwise(inner.op);
  };
  if (!node.body || !std::all_of(node.body->nodes.begin(), node.body->nodes.end(), fits)) return false;
  return std::all_of(node.body->nodes.begin(), node.body->nodes.end(), [&](const GraphNode& inner) {
    const Shape& shape = inner.type().shape;
    return shape.empty() || shape.back() == 1 || shape.back() == node.type().shape.back();
  });
}

bool is_last_axis(const GraphNode& node, const Type& operand) {
  return node.as<AxisAttrs>().axis + 1 == static_cast<std::int64_t>(operand.shape.size());
}

// [..., columns] of a tile-local buffer whose rows lie `width` apart.
View tile_view(int buffer, const Shape& shape, std::int64_t width) {
  View view = whole_buffer(buffer, {DType::f32, shape});
  std::int64_t stride = width;
  for (std::size_t axis = shape.size() - 1; axis-- > 0;) {
    view.strides[axis] = stride;
    stride *= shape[axis];
  }
  return view;
}

// The body over so many elements in any order: it knows columns and rows no more.
Graph over_elements(Graph body, std::int64_t elements) {
  for (GraphNode& inner : body.nodes)
    for (Type& type : inner.types)
      if (!type.shape.empty()) type.shape = {elements};
  return body;
}

std::int64_t argmax_ranges(std::int64_t columns) { return (columns + argmax_columns - 1) / argmax_columns; }

}  // namespace

// "" where the linear `value` can run in the chain that ends in `reader`.
std::string Lowering::why_not_in_epilogue(ValueId value, std::int32_t reader, const UseCounts& uses) const {
  const GraphNode& linear = graph_.node(value);
  const Type& type = linear.type();
  const Shape& shape = node(reader).op == Op::argmax ? type.shape : node(reader).type().shape;
  if (!is_packed_linear(value.node)) return "the matmul's weight is not packed";
  if (uses[value] != 1) return "the linear has a second reader";
  if (type.dtype != DType::f32) return fmt::format("the linear gives {}, expected f32", to_string(type));
  if (type.shape != shape)
    return fmt::format("the linear is {}, what reads it {}", to_string(type), to_string(node(reader).type()));
  if (epilogue_of_[static_cast<std::size_t>(value.node)] >= 0) return "the linear already belongs to another chain";
  return {};
}

// Fills in what follows the body: the operand form of the matmuls that read its result, or its argmax.
void Lowering::plan_tail(std::int32_t id, Epilogue& epilogue, const UseCounts& uses,
                         const std::vector<std::vector<std::int32_t>>& readers) const {
  const GraphNode& body = node(id);
  const std::vector<std::int32_t>& reading = readers[static_cast<std::size_t>(id)];
  if (body.types.size() != 1 || body.type().dtype != DType::f32 || reading.empty()) return;
  if (static_cast<std::size_t>(uses[{id, 0}]) != reading.size()) return;  // a result of the graph as well
  if (reading.size() == 1 && node(reading[0]).op == Op::argmax && is_last_axis(node(reading[0]), body.type())) {
    epilogue.argmax = reading[0];
    return;
  }
  for (std::int32_t reader : reading) {
    if (!is_packed_linear(reader) || node(reader).inputs[0] != ValueId{id, 0}) return;
    if (operand_form(reader) == OperandForm::real || operand_form(reader) != operand_form(reading[0])) return;
  }
  epilogue.readers = reading;
}

// The chain that ends in node `id`, without its tail; no products where there is none, which is noted if one of its
// operands is a matmul.
Lowering::Epilogue Lowering::find_epilogue(std::int32_t id, const UseCounts& uses) const {
  const GraphNode& reader = node(id);
  Epilogue epilogue;
  std::vector<std::int32_t> left_out;
  std::string why;
  for (ValueId input : reader.inputs) {
    if (graph_.node(input).op != Op::linear) continue;
    const std::string reason =
        is_chain_end(id) ? why_not_in_epilogue(input, id, uses)
                         : fmt::format("the {} that reads it is not elementwise over its columns", reader.name());
    (reason.empty() ? epilogue.products : left_out).push_back(input.node);
    if (!reason.empty()) why = reason;
  }
  std::vector<std::int32_t> site = epilogue.products.empty() ? left_out : epilogue.products;
  if (site.empty()) return {};
  site.push_back(id);
  if (!epilogue.products.empty()) {
    why.clear();
    if (belongs_to_merged_step(epilogue))
      why = "for one row, running beside the other matmuls of its operand is worth more";
    else if (epilogue.products.size() == 1 && is_narrow_linear(epilogue.products[0]))
      why = "few outputs divide by rows";
    else if (!tools_.fusion.enabled("linear_epilogue"))
      why = tools_.verdicts.reason_off("linear_epilogue");
  }
  note("linear_epilogue", site, why);
  return why.empty() ? epilogue : Epilogue{};
}

// Whether the node can follow matmuls in a chain over columns.
bool Lowering::is_chain_end(std::int32_t id) const {
  const GraphNode& reader = node(id);
  if (reader.types.empty() || reader.type().shape.empty()) return false;
  if (reader.op == Op::argmax) return is_last_axis(reader, graph_.type(reader.inputs[0]));
  return reader.type().shape.back() > 1 && is_elementwise_body(reader) &&
         std::all_of(reader.types.begin(), reader.types.end(),
                     [&](const Type& type) { return type.shape == reader.type().shape; });
}

void Lowering::plan_epilogues() {
  if (!tools_.fusion.enabled("linear_epilogue") && !tools_.verdicts.note) return;
  const UseCounts uses(graph_);
  std::vector<std::vector<std::int32_t>> readers(graph_.nodes.size());
  for (std::size_t id = 0; id < graph_.nodes.size(); ++id)
    for (ValueId input : graph_.nodes[id].inputs)
      readers[static_cast<std::size_t>(input.node)].push_back(static_cast<std::int32_t>(id));
  for (std::size_t index = 0; index < graph_.nodes.size(); ++index) {
    const auto id = static_cast<std::int32_t>(index);
    if (is_leaf(node(id).op) || is_view(node(id).op)) continue;
    Epilogue epilogue = find_epilogue(id, uses);
    if (epilogue.products.empty()) continue;
    if (node(id).op == Op::argmax) {
      epilogue.has_body = false;
      epilogue.argmax = id;
    } else {
      plan_tail(id, epilogue, uses, readers);
    }
    for (std::int32_t product : epilogue.products) epilogue_of_[static_cast<std::size_t>(product)] = id;
    if (epilogue.argmax >= 0) lowered_[static_cast<std::size_t>(epilogue.argmax)] = epilogue.argmax != id;
    epilogues_.emplace(id, std::move(epilogue));
  }
}

// For one row, running beside the other products of its x is worth more to a product than an epilogue.
bool Lowering::belongs_to_merged_step(const Epilogue& epilogue) const {
  const Type& type = node(epilogue.products[0]).type();
  if (type.elements() != type.shape.back() || !tools_.fusion.enabled("merged_linear")) return false;
  return std::any_of(epilogue.products.begin(), epilogue.products.end(), [&](std::int32_t product) {
    const std::vector<std::int32_t>& beside = readers_of_x_.at(node(product).inputs[0]);
    return std::any_of(beside.begin(), beside.end(), [&](std::int32_t other) {
      return std::find(epilogue.products.begin(), epilogue.products.end(), other) == epilogue.products.end();
    });
  });
}

// Columns of one piece: as many as leave half of the cache to the operands of the matmuls.
std::int64_t Lowering::epilogue_width(const Epilogue& epilogue, std::int64_t rows, std::int64_t columns,
                                      std::int64_t granule) const {
  const bool panels = operand_form(epilogue.products[0]) == OperandForm::tiles;
  const auto arrays = static_cast<std::int64_t>(epilogue.products.size());
  std::int64_t width = level2_cache_bytes() / 2 / (rows * arrays * static_cast<std::int64_t>(sizeof(float)));
  width = std::clamp(width, panels ? std::max(panel_columns, granule) : granule, std::max(most_columns, granule));
  width = width / granule * granule;
  if (width > panel_columns) width = width / panel_columns * panel_columns;
  return std::min(width, (columns + granule - 1) / granule * granule);
}

// Whether the whole chain can work on sums in the order the panels leave them in: all arrays are its own, every element
// stands for itself, and what follows takes tiles. That spares a way through memory.
bool Lowering::stays_in_panels(std::int32_t id, const Epilogue& epilogue) const {
  const Shape& shape = node(epilogue.products[0]).type().shape;
  if (!epilogue.has_body || epilogue.readers.empty() || shape.back() % panel_sums_outputs != 0) return false;
  if (element_count(shape) / shape.back() < panel_sums_rows) return false;
  const auto leaves_panels = [&](std::int32_t product) { return operand_form(product) == OperandForm::tiles; };
  if (!leaves_panels(epilogue.readers[0])) return false;
  if (!std::all_of(epilogue.products.begin(), epilogue.products.end(), leaves_panels)) return false;
  const auto is_own = [&](ValueId input) {
    const GraphNode& operand = graph_.node(input);
    return operand.op == Op::scalar ||
           std::find(epilogue.products.begin(), epilogue.products.end(), input.node) != epilogue.products.end();
  };
  const GraphNode& current = node(id);
  if (!std::all_of(current.inputs.begin(), current.inputs.end(), is_own)) return false;
  return current.op != Op::fused ||
         std::all_of(current.body->nodes.begin(), current.body->nodes.end(), [&](const GraphNode& inner) {
           return inner.type().shape.empty() || inner.type().shape == current.type().shape;
         });
}

void Lowering::lower_epilogue(std::int32_t id) {
  const Epilogue& epilogue = epilogues_.at(id);
  const Shape shape = node(epilogue.products[0]).type().shape;
  const std::int64_t columns = shape.back(), rows = element_count(shape) / columns;
  const std::int64_t granule = epilogue.argmax >= 0 ? argmax_columns : packed_block_columns;
  const std::int64_t width = epilogue_width(epilogue, rows, columns, granule);

  const PanelOrder order = stays_in_panels(id, epilogue) ? PanelOrder::panels : PanelOrder::rows;
  const bool panels = order == PanelOrder::panels;
  const std::int64_t tile_rows = panels ? panel_rows(rows) : rows;
  const std::int64_t tile_bytes = tile_rows * width * static_cast<std::int64_t>(sizeof(float));

  ChainShape chain{width, true, {}, {}};
  std::map<ValueId, View> tiles;
  std::vector<Product> products;
  for (std::int32_t product : epilogue.products) {
    const int buffer = add_scratch(tile_bytes * tools_.executor.size(), fmt::format("%{} tile", product));
    chain.locals.push_back(
        {buffer, tile_bytes, panels ? tile_bytes / width : static_cast<std::int64_t>(sizeof(float))});
    const View y = panels ? whole_buffer(buffer, {DType::f32, {tile_rows * columns}}) : tile_view(buffer, shape, width);
    tiles.emplace(ValueId{product, 0}, y);
    products.push_back(make_product(product, y, order));
  }

  const std::size_t first_step = result_.steps.size();
  const Product first = products[0];
  const bool few = has_few_rows(products);
  std::int64_t bytes = 0;
  for (const Product& product : products) bytes += product.groups * product.group_bytes;
  std::string name = "linear";
  std::vector<Division> divisions;
  for (Product& product : products) {
    divisions.push_back(
        {columns, std::lcm(granule, packed_group_rows * product.groups_at_once), {}, columns_of(product)});
    add_products({std::move(product)});
  }
  const View result = tiles.at({epilogue.products[0], 0});
  if (epilogue.has_body) {
    const bool keeps_result = epilogue.argmax < 0 && epilogue.readers.empty();
    divisions.push_back(lower_epilogue_body(id, tiles, keeps_result ? nullptr : &result, order));
    name += fmt::format("_{}", node(id).name());
  }
  if (!epilogue.readers.empty())
    divisions.push_back(add_operand_columns(epilogue.readers[0], result, rows, columns, order));
  View maxima;
  if (epilogue.argmax >= 0) {
    maxima = new_array({DType::u8, {rows * argmax_ranges(columns) * static_cast<std::int64_t>(sizeof(Best))}},
                       "partial argmax");
    divisions.push_back(add_argmax_columns(epilogue.argmax, result, maxima));
    name += "_argmax";
  }

  std::vector<ChainMember> members;
  for (std::size_t i = 0; i < divisions.size(); ++i)
    members.push_back({std::move(result_.steps[first_step + i]), std::move(divisions[i])});
  result_.steps.resize(first_step);
  Step& step =
      result_.steps.emplace_back(make_chain(std::move(members), std::move(chain), result_.buffers, std::move(name)));
  if (step.split && few) step.piece = piece_of(step.units, bytes);
  step.first_weights = [first, groups = granule / packed_group_rows](std::int64_t begin, std::int64_t end) {
    return first.weights_of(std::min(first.groups, begin * groups), std::min(first.groups, end * groups));
  };
  if (epilogue.argmax >= 0) add_argmax_combine(epilogue.argmax, maxima, argmax_ranges(columns));
}

// The body in columns. Without a place of its own for the result it works in place, in the tile of the first product;
// in panels always, where it takes the elements as they come and a column is worth the rows of a panel in elements.
Division Lowering::lower_epilogue_body(std::int32_t id, const std::map<ValueId, View>& tiles, const View* in_place,
                                       PanelOrder order) {
  const GraphNode& current = node(id);
  std::vector<View> operands, results;
  for (ValueId input : current.inputs) {
    const auto tile = tiles.find(input);
    operands.push_back(tile != tiles.end() ? tile->second : view(input));
  }
  if (in_place) {
    results.push_back(*in_place);
    set_view({id, 0},
             whole_buffer(in_place->buffer, current.type()));  // known by its buffer to those who look for its forms
  } else {
    for (std::size_t output = 0; output < current.types.size(); ++output)
      results.push_back(result_view(id, static_cast<std::int32_t>(output)));
  }
  Division division;
  if (order == PanelOrder::rows) {
    add_loop(id, loop_body(id), operands, results, &division);
    return division;
  }
  const std::int64_t elements = results[0].elements(), columns = current.type().shape.back();
  add_loop(id, over_elements(loop_body(id), elements), operands, results, &division);
  return {columns,
          panel_sums_outputs,
          {},
          [run = std::move(division.run), rows = elements / columns](Memory& memory, std::int64_t begin,
                                                                     std::int64_t end, int worker) {
            run(memory, begin * rows, end * rows, worker);
          }};
}

// The operand form of the matmuls that read x, made of a tile.
Division Lowering::add_operand_columns(std::int32_t reader, const View& x, std::int64_t rows, std::int64_t columns,
                                       PanelOrder order) {
  const bool tiled = operand_form(reader) == OperandForm::tiles;
  const std::int64_t stride = x.shape.size() < 2 ? columns : x.strides[x.strides.size() - 2];
  const auto bytes =
      static_cast<std::int64_t>(tiled ? tiled_rows_bytes(rows, columns) : quantised_rows_bytes(rows, columns));
  const int target = add_scratch(bytes, fmt::format("%{} {}", reader, tiled ? "bf16 tiles" : "int8 rows"));
  (tiled ? tiled_ : quantised_)[{x.buffer, 0, rows, columns}] = target;
  Division division{columns, packed_block_columns, {}, {}};
  if (order == PanelOrder::panels) {
    const TileRowsKernel& kernel = *find_tile_rows_kernel(tools_.isa);
    add_step(reader, "tile_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
    division.run = [=, tile = kernel.tile_sums](Memory& memory, std::int64_t begin, std::int64_t end, int) {
      tile(memory.as<const float>(x), panel_rows(rows), begin / packed_block_columns, end / packed_block_columns,
           tiled_rows(memory.base(target), rows, columns));
    };
  } else if (tiled) {
    const TileRowsKernel& kernel = *find_tile_rows_kernel(tools_.isa);
    add_step(reader, "tile_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
    division.run = [=, tile = kernel.tile](Memory& memory, std::int64_t begin, std::int64_t end, int) {
      const TiledRowsView whole = tiled_rows(memory.base(target), rows, columns);
      // Two tiles down lie side by side for each step, so that a range of steps is in one piece for 32 rows.
      constexpr std::int64_t tile_bytes = 1024, tiles_down = 2, rows_down = 32;
      const std::int64_t first = begin / packed_block_columns;
      for (std::int64_t row = 0; row < rows; row += rows_down) {
        const TiledRowsView piece{whole.tiles + (row / rows_down * whole.steps + first) * tiles_down * tile_bytes,
                                  rows - row, end - begin,
                                  (end - begin + packed_block_columns - 1) / packed_block_columns};
        tile(memory.as<const float>(x) + row * stride + begin, stride, 0, tiles_down, piece);
      }
    };
  } else {
    const QuantiseRowsKernel& kernel = find_quantise_rows_kernel(tools_.isa);
    add_step(reader, "quantise_rows", {kernel.name, kernel.isa}, {x.buffer}, {target});
    division.run = [=, quantise = kernel.quantise](Memory& memory, std::int64_t begin, std::int64_t end, int) {
      QuantisedRowsView piece = quantised_rows(memory.base(target), rows, columns);
      piece.values += begin;
      piece.scales += begin / packed_block_columns;
      piece.half_sums += 2 * (begin / packed_block_columns);
      piece.cols = end - begin;
      quantise(memory.as<const float>(x) + begin, stride, 0, rows, piece);
    };
  }
  return division;
}

// The first largest of each range of columns of each row.
Division Lowering::add_argmax_columns(std::int32_t id, const View& x, const View& maxima) {
  const std::int64_t columns = x.shape.back(), rows = element_count(x.shape) / columns, ranges = argmax_ranges(columns);
  const std::int64_t stride = x.shape.size() < 2 ? columns : x.strides[x.strides.size() - 2];
  add_step(id, "argmax", "argmax", {x.buffer}, {maxima.buffer});
  return {columns, argmax_columns, {}, [=](Memory& memory, std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t row = 0; row < rows; ++row)
              for (std::int64_t first = begin; first < end; first += argmax_columns)
                memory.as<Best>(maxima)[row * ranges + first / argmax_columns] = argmax_range(
                    memory.as<const float>(x) + row * stride, first, std::min(end, first + argmax_columns));
          }};
}

}  // namespace lazuli::cpu
