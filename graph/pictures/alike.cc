// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/pictures/alike.h>
#include <lazuli/graph/pictures/placement.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <unordered_map>

namespace lazuli {
namespace {

struct Layer {
  std::string family;
  std::int64_t index = 0;
  std::vector<std::int32_t> nodes;
};

std::vector<Layer> layers_of(const Graph& graph, const std::vector<Scope::Ref>& places) {
  std::vector<Layer> layers;
  std::map<std::pair<std::string_view, std::int64_t>, std::size_t> known;
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    const auto numbered = places[id] ? numbered_scope(*places[id]) : std::nullopt;
    if (!numbered) continue;
    const auto [place, added] = known.try_emplace({numbered->family, numbered->index}, layers.size());
    if (added) layers.push_back({std::string(numbered->family), numbered->index, {}});
    layers[place->second].nodes.push_back(static_cast<std::int32_t>(id));
  }
  return layers;
}

// What a layer does, as text that is equal for layers that are alike but for the offsets of their slices.
class LayerForm {
 public:
  LayerForm(const Graph& graph, const std::vector<Scope::Ref>& places, const Layer& layer)
      : graph_(graph), places_(places) {
    text = layer.family;
    for (std::size_t position = 0; position < layer.nodes.size(); ++position)
      inside_.emplace(layer.nodes[position], position);
    for (const std::int32_t id : layer.nodes) append_node(static_cast<std::size_t>(id));
  }

  std::string text;
  std::vector<std::int64_t> offsets;  // where slices begin

 private:
  void append_node(std::size_t id) {
    const GraphNode& node = graph_.nodes[id];
    const std::string_view inner = numbered_scope(*places_[id])->inner;
    fmt::format_to(std::back_inserter(text), "\n{} {}:{}", node.name(), inner.size(), inner);
    append_attrs(node);
    for (const Type& type : node.types) text += ' ' + type_text(node, type);
    for (const ValueId input : node.inputs) append_operand(input);
    for (const auto& [name, graph] : bodies_of(node)) {
      const std::string body = structural_key(*graph);
      fmt::format_to(std::back_inserter(text), " {}:", body.size());
      text += body;
    }
  }

  void append_attrs(const GraphNode& node) {
    if (node.op == Op::input) return;  // the attribute is the input's number
    if (node.op != Op::slice) {
      text += to_string(node.attrs);
      return;
    }
    const auto& slice = node.as<SliceAttrs>();
    for (std::size_t axis = 0; axis < slice.begin.size(); ++axis)
      fmt::format_to(std::back_inserter(text), " {}/{}", slice.end[axis] - slice.begin[axis], slice.step[axis]);
    offsets.insert(offsets.end(), slice.begin.begin(), slice.begin.end());
  }

  static std::string type_text(const GraphNode& node, const Type& type) {
    const bool any_quantised = node.op == Op::constant && is_quantised(type.dtype);
    return any_quantised ? "quantised" + to_string(type.shape) : to_string(type);
  }

  // Values from outside are numbered as they come, so that two readers of one value differ from readers of two.
  // Pictures show weights and numbers inside their readers, so they do not stand for computed values.
  void append_operand(ValueId value) {
    if (const auto inside = inside_.find(value.node); inside != inside_.end()) {
      fmt::format_to(std::back_inserter(text), " %{}.{}", inside->second, value.output);
      return;
    }
    const std::size_t number = outside_.try_emplace(value, outside_.size()).first->second;
    const GraphNode& node = graph_.node(value);
    const bool known = is_leaf(node.op) && node.op != Op::input;
    fmt::format_to(std::back_inserter(text), " {}{}:{}", known ? "known" : "outside", number,
                   type_text(node, graph_.type(value)));
  }

  const Graph& graph_;
  const std::vector<Scope::Ref>& places_;
  std::unordered_map<std::int32_t, std::size_t> inside_;
  std::map<ValueId, std::size_t> outside_;
};

bool offsets_agree(const std::vector<std::int64_t>& a, std::int64_t index_a, const std::vector<std::int64_t>& b,
                   std::int64_t index_b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](std::int64_t offset_a, std::int64_t offset_b) {
    return offset_a == offset_b || offset_a - index_a == offset_b - index_b;
  });
}

void sort_by_index(AlikeLayers& group) {
  std::vector<std::size_t> order(group.indices.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return group.indices[a] < group.indices[b]; });
  AlikeLayers sorted{group.family, {}, {}};
  for (const std::size_t i : order) {
    sorted.indices.push_back(group.indices[i]);
    sorted.nodes.push_back(std::move(group.nodes[i]));
  }
  group = std::move(sorted);
}

}  // namespace

std::vector<AlikeLayers> alike_layers(const Graph& graph) {
  struct Known {
    std::size_t group;
    std::vector<std::int64_t> offsets;  // of the group's first layer
  };
  const std::vector<Scope::Ref> places = placement(graph);
  std::vector<AlikeLayers> groups;
  std::unordered_map<std::string, std::vector<Known>> known;
  for (Layer& layer : layers_of(graph, places)) {
    LayerForm form(graph, places, layer);
    std::vector<Known>& same_form = known[form.text];
    const auto same = std::find_if(same_form.begin(), same_form.end(), [&](const Known& other) {
      return offsets_agree(form.offsets, layer.index, other.offsets, groups[other.group].indices[0]);
    });
    const std::size_t group = same == same_form.end() ? groups.size() : same->group;
    if (group == groups.size()) {
      groups.push_back({layer.family, {}, {}});
      same_form.push_back({group, std::move(form.offsets)});
    }
    groups[group].indices.push_back(layer.index);
    groups[group].nodes.push_back(std::move(layer.nodes));
  }
  for (AlikeLayers& group : groups) sort_by_index(group);
  std::map<std::string, std::size_t> families;  // by their first layer in the graph
  for (const AlikeLayers& group : groups) families.try_emplace(group.family, families.size());
  std::sort(groups.begin(), groups.end(), [&](const AlikeLayers& a, const AlikeLayers& b) {
    return std::pair(families[a.family], a.indices[0]) < std::pair(families[b.family], b.indices[0]);
  });
  return groups;
}

}  // namespace lazuli
