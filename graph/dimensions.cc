// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/dimensions.h>

#include <algorithm>

namespace lazuli {
namespace {

// Writes sizes into the types and attributes of a graph and of its bodies.
class Sizes {
 public:
  Sizes(std::span<const NamedSize> dimensions, std::span<const std::int64_t> sizes)
      : dimensions_(dimensions), sizes_(sizes) {}

  void write(Graph& graph) const {
    for (GraphNode& node : graph.nodes) write_attrs(node);
    // Attributes are written by the types of results and operands, so those keep their names until here.
    for (GraphNode& node : graph.nodes) {
      for (Type& type : node.types)
        if (type.named) type = at_size(std::move(type), size_of(type));
      if (!node.body) continue;
      Graph body = *node.body;
      write(body);
      node.body = std::make_shared<const Graph>(std::move(body));
    }
  }

 private:
  std::int64_t size_of(const Type& type) const {
    return sizes_[static_cast<std::size_t>(dimension_of(type, dimensions_))];
  }

  // Of the attributes of ops that take named axes these alone hold a size. A slice leaves the axis whole.
  void write_attrs(GraphNode& node) const {
    const bool is_named = !node.types.empty() && node.type().named;
    if (!is_named) return;
    const auto axis = static_cast<std::size_t>(node.type().named.axis);
    if (node.op == Op::reshape || node.op == Op::broadcast_to)
      std::get<ReshapeAttrs>(node.attrs).shape[axis] = size_of(node.type());
    if (node.op == Op::slice) std::get<SliceAttrs>(node.attrs).end[axis] = size_of(node.type());
  }

  std::span<const NamedSize> dimensions_;
  std::span<const std::int64_t> sizes_;
};

}  // namespace

std::vector<NamedSize> dimensions_of(const Graph& graph) {
  std::vector<NamedSize> dimensions;
  for (const ValueId input : graph.inputs()) {
    if (input.node < 0) continue;
    const Type& type = graph.type(input);
    const auto is_known = [&](const NamedSize& known) { return known.name == type.named.name; };
    if (type.named && std::none_of(dimensions.begin(), dimensions.end(), is_known))
      dimensions.push_back({type.named.name, bound_of(type)});
  }
  return dimensions;
}

int dimension_of(const Type& type, std::span<const NamedSize> dimensions) {
  if (!type.named) return -1;
  for (std::size_t i = 0; i < dimensions.size(); ++i)
    if (dimensions[i].name == type.named.name) return static_cast<int>(i);
  fail_internal("no input has the named axis of {}", to_string(type));
}

bool accepts(const Type& declared, const Type& given) {
  if (given == declared) return true;
  if (!declared.named || given.named || given.shape.size() != declared.shape.size()) return false;
  const auto axis = static_cast<std::size_t>(declared.named.axis);
  return given == at_size(declared, given.shape[axis]);
}

std::int64_t size_brought(const Type& declared, const Type& given) {
  return declared.named ? given.shape[static_cast<std::size_t>(declared.named.axis)] : -1;
}

namespace {

[[noreturn]] void fail_size(std::string_view where, std::size_t argument, const Type& declared, std::int64_t size,
                            const std::string& expected) {
  const NamedAxis& named = declared.named;
  fail(ErrorDetails{.kind = ErrorKind::shape,
                    .op = std::string(where),
                    .expected = fmt::format("{} = {}", *named.name, expected),
                    .found = fmt::format("{} = {}", *named.name, size)},
       "{}: argument {} has {} = {} along axis {}, expected {}", where, argument, *named.name, size, named.axis,
       expected);
}

}  // namespace

std::vector<std::int64_t> sizes_of_run(std::span<const NamedSize> dimensions, std::span<const Type* const> declared,
                                       std::span<const std::int64_t> brought, std::string_view where) {
  std::vector<std::int64_t> sizes(dimensions.size(), -1);
  std::vector<std::size_t> first(dimensions.size());
  for (std::size_t i = 0; i < declared.size(); ++i) {
    if (declared[i] == nullptr || !declared[i]->named) continue;
    const auto dimension = static_cast<std::size_t>(dimension_of(*declared[i], dimensions));
    const std::int64_t bound = bound_of(*declared[i]), size = brought[i] < 0 ? bound : brought[i];
    if (size < 1 || size > bound) fail_size(where, i, *declared[i], size, fmt::format("1 to {}", bound));
    std::int64_t& known = sizes[dimension];
    if (known >= 0 && known != size)
      fail_size(where, i, *declared[i], size, fmt::format("{}, as argument {} has", known, first[dimension]));
    if (known < 0) first[dimension] = i;
    known = size;
  }
  return sizes;
}

Graph with_sizes(Graph graph, std::span<const std::int64_t> sizes) {
  const std::vector<NamedSize> dimensions = dimensions_of(graph);
  if (sizes.size() != dimensions.size())
    fail_internal("{} sizes given for {} named dimensions", sizes.size(), dimensions.size());
  if (!dimensions.empty()) Sizes(dimensions, sizes).write(graph);
  return graph;
}

}  // namespace lazuli
