// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/scope_path.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/pictures/alike.h>
#include <lazuli/graph/pictures/dot/text.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/pictures/placement.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace lazuli {
namespace {

using Json = nlohmann::ordered_json;

std::string id_text(std::int32_t id) { return fmt::format("{}", id); }

Json pair(std::string_view key, std::string_view value) { return {{"key", key}, {"value", value}}; }

// "layers/3/mlp" of "layers.3.mlp"; a slash of a name would be a level of its own.
std::string namespace_of(std::string path) {
  std::replace(path.begin(), path.end(), '/', '_');
  std::replace(path.begin(), path.end(), '.', '/');
  return path;
}

Json attributes(const GraphNode& node, const NodeNote& note) {
  Json list = Json::array();
  if (!node.label.empty()) list.push_back(pair("name", node.label));
  const auto add = [&](const char* name, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Dims>)
      list.push_back(pair(name, fmt::format("[{}]", fmt::join(value, ","))));
    else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, DType>)
      list.push_back(pair(name, to_string(value)));
    else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Number>)
      list.push_back(pair(name, fmt::format("{}", value.value)));
    else if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, BodyRef>)
      list.push_back(pair(name, fmt::format("{}", value)));
  };
  std::visit([&](const auto& fields) { fields.visit(fields, add); }, node.attrs);
  if (const auto* custom = std::get_if<CustomAttrs>(&node.attrs); custom && !custom->op.attributes().empty())
    list.push_back(pair("attributes", custom->op.attributes()));
  for (const auto& [name, body] : bodies_of(node))
    list.push_back(pair(name, fmt::format("{}", fmt::join(op_names(*body), ", "))));
  std::vector<std::string> sources;
  for (const Source& source : node.from) sources.push_back(fmt::format("{}:{}", source.node, source.name()));
  if (!sources.empty()) list.push_back(pair("from", fmt::format("{}", fmt::join(sources, ", "))));
  if (!note.text.empty()) list.push_back(pair("profile", note.text));
  return list;
}

Json edge(ValueId source, std::size_t operand) {
  return {{"sourceNodeId", id_text(source.node)},
          {"sourceNodeOutputId", id_text(source.output)},
          {"targetNodeInputId", fmt::format("{}", operand)}};
}

Json node_object(const GraphNode& node, std::int32_t id, const Scope::Ref& place, const NodeNote& note) {
  Json object{{"id", id_text(id)},
              {"label", node.name()},
              {"namespace", namespace_of(place ? *place : std::string())},
              {"attrs", attributes(node, note)},
              {"incomingEdges", Json::array()},
              {"outputsMetadata", Json::array()}};
  for (std::size_t operand = 0; operand < node.inputs.size(); ++operand)
    object["incomingEdges"].push_back(edge(node.inputs[operand], operand));
  for (std::size_t output = 0; output < node.types.size(); ++output)
    object["outputsMetadata"].push_back(
        {{"id", fmt::format("{}", output)},
         {"attrs", Json::array({pair("tensor_shape", to_string(node.types[output]))})}});
  if (!note.text.empty()) object["style"] = {{"backgroundColor", dot::heat_colour(note.heat)}};
  return object;
}

Json output_object(const Graph& graph, std::size_t index) {
  const bool named = index < graph.output_names.size() && !graph.output_names[index].empty();
  return {{"id", fmt::format("output {}", index)},
          {"label", named ? graph.output_names[index] : fmt::format("output {}", index)},
          {"namespace", ""},
          {"incomingEdges", Json::array({edge(graph.outputs[index], 0)})}};
}

// What the viewer shows of a level that is selected; "" is the model.
Json level_attributes(const Graph& graph) {
  Json levels{{"", {{"phase", to_string(graph.phase)}, {"nodes", fmt::format("{}", graph.nodes.size())}}}};
  for (const AlikeLayers& group : alike_layers(graph))
    for (const std::int64_t index : group.indices)
      levels[namespace_of(fmt::format("{}.{}", group.family, index))] = {{"alike", index_ranges(group.indices)}};
  return levels;
}

}  // namespace

std::string to_model_explorer(const Graph& graph, const std::string& name, const Annotate& annotate) {
  const std::vector<Scope::Ref> places = placement(graph);
  Json nodes = Json::array();
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    const auto number = static_cast<std::int32_t>(id);
    nodes.push_back(node_object(graph.nodes[id], number, places[id], annotate ? annotate(number) : NodeNote{}));
  }
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) nodes.push_back(output_object(graph, i));
  Json document{{"label", name}, {"graphs", Json::array()}};
  document["graphs"].push_back(
      {{"id", name}, {"nodes", std::move(nodes)}, {"groupNodeAttributes", level_attributes(graph)}});
  // Labels come from files and need not be UTF-8.
  return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace lazuli
