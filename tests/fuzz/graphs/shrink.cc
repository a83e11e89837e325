// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/passes/graph_edit.h>
#include <lazuli/tests/fuzz/graphs/shrink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>
#include <type_traits>
#include <variant>

namespace lazuli::fuzz {
namespace {

void replace_everywhere(Graph& graph, ValueId value, ValueId other) {
  for (GraphNode& node : graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), value, other);
  std::replace(graph.outputs.begin(), graph.outputs.end(), value, other);
}

// The value becomes an input of its own, in front of the node.
RandomGraph with_input(const RandomGraph& from, ValueId value) {
  RandomGraph result = from;
  const Type type = from.graph.type(value);
  Random random(17);
  result.inputs.push_back(draw(type, type.dtype == DType::i32 ? Values::equal : Values::moderate, random));
  if (type.dtype == DType::i32) std::memset(result.inputs.back()->data(), 0, result.inputs.back()->size());
  GraphNode input;
  input.op = Op::input;
  input.attrs = InputAttrs{static_cast<std::int64_t>(result.inputs.size()) - 1};
  input.types = {type};
  const std::int32_t at = value.node;
  result.graph.nodes.insert(result.graph.nodes.begin() + at, std::move(input));
  const auto move = [&](ValueId& each) {
    if (each == value)
      each = {at, 0};
    else if (each.node >= at)
      ++each.node;
  };
  for (std::size_t i = static_cast<std::size_t>(at) + 1; i < result.graph.nodes.size(); ++i)
    for (ValueId& input_of : result.graph.nodes[i].inputs) move(input_of);
  for (ValueId& output : result.graph.outputs) move(output);
  return result;
}

// Bodies in which one value gives way to an operand of its node.
std::vector<Graph> smaller_bodies(const Graph& body) {
  std::vector<Graph> smaller;
  for (std::size_t i = body.nodes.size(); i-- > 0;) {
    const ValueId value{static_cast<std::int32_t>(i), 0};
    std::vector<ValueId> instead = body.nodes[i].inputs;
    for (const ValueId input : body.inputs()) instead.push_back(input);
    for (const ValueId other : instead) {
      if (other.node >= value.node || body.type(other) != body.type(value)) continue;
      Graph changed = body;
      replace_everywhere(changed, value, other);
      changed = remove_dead(std::move(changed));
      if (changed.nodes.size() < body.nodes.size()) smaller.push_back(std::move(changed));
    }
  }
  return smaller;
}

// The first so many elements of each axis.
BufferRef cut(const BufferRef& from, const Type& before, const Type& after) {
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(after.bytes()));
  const int block = info(before.dtype).block_elements, bytes = info(before.dtype).block_bytes;
  Shape outer = after.shape;
  if (outer.empty()) outer = {1};
  const std::int64_t columns = outer.back() / block, rows = columns == 0 ? 0 : element_count(outer) / outer.back();
  Dims index(outer.size(), 0);
  const Dims strides = contiguous_strides(before.shape.empty() ? Shape{1} : before.shape);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t at = 0;
    for (std::size_t axis = 0; axis + 1 < outer.size(); ++axis) at += index[axis] * strides[axis];
    std::memcpy(buffer->data() + row * columns * bytes, from->data() + at / block * bytes,
                static_cast<std::size_t>(columns * bytes));
    for (std::size_t axis = outer.size() - 1; axis-- > 0;) {
      if (++index[axis] < outer[axis]) break;
      index[axis] = 0;
    }
  }
  return buffer;
}

void replace_sizes(Dims& sizes, std::int64_t size, std::int64_t other) {
  std::replace(sizes.begin(), sizes.end(), size, other);
}

// Every axis of one size gets another, and with it what attributes say of it.
std::optional<RandomGraph> resized(const RandomGraph& from, std::int64_t size, std::int64_t other) {
  RandomGraph result = from;
  try {
    for (GraphNode& node : result.graph.nodes) {
      if (node.op == Op::input || node.op == Op::constant) {
        const Type before = node.type();
        const bool last_in_blocks = is_quantised(before.dtype);
        const std::int64_t last = before.shape.empty() ? 0 : before.shape.back();
        replace_sizes(node.types[0].shape, size, other);
        if (last_in_blocks) node.types[0].shape.back() = last;
        if (node.type() == before) continue;
        BufferRef& held = node.op == Op::constant
                              ? node.constant
                              : result.inputs[static_cast<std::size_t>(node.as<InputAttrs>().index)];
        held = cut(held, before, node.type());
        continue;
      }
      std::visit(
          [&](auto& attrs) {
            attrs.visit(attrs, [&](std::string_view name, auto& field) {
              if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, Dims>)
                if (name == "shape" || name == "end") replace_sizes(field, size, other);
            });
          },
          node.attrs);
      if (auto* iota = std::get_if<IotaAttrs>(&node.attrs); iota && iota->size == size) iota->size = other;
      if (node.op == Op::fused) return std::nullopt;
      node.types = infer_types(node.op, node.attrs, operand_types(result.graph, node));
    }
  } catch (const InternalError&) {
    throw;
  } catch (const Error&) {
    return std::nullopt;
  }
  return result;
}

// What must become less: nodes that compute, those of bodies too, all nodes, outputs, elements.
std::array<std::int64_t, 4> size_of(const Graph& graph) {
  std::array<std::int64_t, 4> size{0, static_cast<std::int64_t>(graph.nodes.size()),
                                   static_cast<std::int64_t>(graph.outputs.size()), 0};
  for (const GraphNode& node : graph.nodes) {
    size[0] += is_leaf(node.op) ? 0 : 1;
    for (const NamedBody& body : bodies_of(node)) size[0] += size_of(*body.graph)[0];
    for (const Type& type : node.types) size[3] += type.elements();
  }
  return size;
}

class Shrinking {
 public:
  Shrinking(RandomGraph graph, const Fails& fails, int most_calls)
      : graph_(std::move(graph)), fails_(fails), left_(most_calls) {}

  RandomGraph run() {
    while (left_ > 0 && (fewer_outputs() || fewer_nodes() || smaller_insides() || smaller_sizes())) {
    }
    return std::move(graph_);
  }

 private:
  bool accept(RandomGraph candidate) {
    if (left_ <= 0) return false;
    candidate = compacted(candidate);
    if (candidate.graph.outputs.empty() || size_of(candidate.graph) >= size_of(graph_.graph)) return false;
    --left_;
    if (!fails_(candidate)) return false;
    graph_ = std::move(candidate);
    return true;
  }

  bool fewer_outputs() {
    if (graph_.graph.outputs.size() < 2) return false;
    for (std::size_t i = 0; i < graph_.graph.outputs.size(); ++i) {
      RandomGraph single = graph_;
      single.graph.outputs = {graph_.graph.outputs[i]};
      if (accept(std::move(single))) return true;
    }
    for (std::size_t i = 0; i < graph_.graph.outputs.size(); ++i) {
      RandomGraph fewer = graph_;
      fewer.graph.outputs.erase(fewer.graph.outputs.begin() + static_cast<std::ptrdiff_t>(i));
      if (accept(std::move(fewer))) return true;
    }
    return false;
  }

  bool fewer_nodes() {
    for (std::size_t i = graph_.graph.nodes.size(); i-- > 0;) {
      const GraphNode node = graph_.graph.nodes[i];
      if (is_leaf(node.op) && node.op != Op::iota) continue;
      for (std::size_t output = 0; output < node.types.size(); ++output) {
        const ValueId value{static_cast<std::int32_t>(i), static_cast<std::int32_t>(output)};
        for (const ValueId operand : node.inputs) {
          if (graph_.graph.type(operand) != graph_.graph.type(value)) continue;
          RandomGraph without = graph_;
          replace_everywhere(without.graph, value, operand);
          without.graph.nodes[i].inputs = node.inputs;
          if (accept(std::move(without))) return true;
        }
        const bool last =
            std::find(graph_.graph.outputs.begin(), graph_.graph.outputs.end(), value) != graph_.graph.outputs.end();
        if (!last && accept(with_input(graph_, value))) return true;
      }
    }
    return earlier_outputs();
  }

  // The graph ends with an operand of its last node.
  bool earlier_outputs() {
    for (std::size_t i = 0; i < graph_.graph.outputs.size(); ++i)
      for (const ValueId operand : graph_.graph.node(graph_.graph.outputs[i]).inputs) {
        if (is_leaf(graph_.graph.node(operand).op)) continue;
        RandomGraph shorter = graph_;
        shorter.graph.outputs[i] = operand;
        if (accept(std::move(shorter))) return true;
      }
    return false;
  }

  bool smaller_insides() {
    for (std::size_t i = 0; i < graph_.graph.nodes.size(); ++i)
      for (const NamedBody& body : bodies_of(graph_.graph.nodes[i])) {
        const std::string_view name = body.name;
        for (const Graph& smaller : smaller_bodies(*body.graph)) {
          RandomGraph candidate = graph_;
          GraphNode& node = candidate.graph.nodes[i];
          if (node.op == Op::fused) node.body = std::make_shared<const Graph>(smaller);
          for_each_body(node.attrs, [&](const char* each, BodyRef& held) {
            if (each == name) held = BodyRef(smaller);
          });
          if (accept(std::move(candidate))) return true;
        }
      }
    return false;
  }

  bool smaller_sizes() {
    std::set<std::int64_t> sizes;
    for (const GraphNode& node : graph_.graph.nodes)
      for (const Type& type : node.types) sizes.insert(type.shape.begin(), type.shape.end());
    for (auto size = sizes.rbegin(); size != sizes.rend(); ++size)
      for (const std::int64_t other : {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, *size / 2, *size - 1}) {
        if (other >= *size || other < 1) continue;
        std::optional<RandomGraph> candidate = resized(graph_, *size, other);
        if (candidate && accept(*std::move(candidate))) return true;
      }
    return false;
  }

  RandomGraph graph_;
  const Fails& fails_;
  int left_;
};

}  // namespace

RandomGraph shrunk(RandomGraph graph, const Fails& fails, int most_calls) {
  return Shrinking(std::move(graph), fails, most_calls).run();
}

}  // namespace lazuli::fuzz
