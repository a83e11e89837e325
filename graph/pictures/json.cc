// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/pictures/pictures.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace lazuli {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json field_value(const T& value) {
  return value;
}
Json field_value(DType value) { return to_string(value); }
// JSON has no infinities; null would hide which one it was.
Json field_value(double value) { return std::isfinite(value) ? Json(value) : Json(fmt::format("{}", value)); }
Json field_value(const Number& number) { return field_value(number.value); }

Json attrs_object(const Attrs& attrs) {
  Json object = Json::object();
  if (const auto* custom = std::get_if<CustomAttrs>(&attrs); custom && !custom->op.attributes().empty())
    object["attributes"] = custom->op.attributes();
  auto add = [&](const char* name, const auto& value) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, BodyRef>) object[name] = field_value(value);
  };
  std::visit([&](const auto& fields) { fields.visit(fields, add); }, attrs);
  return object;
}

Json value_reference(ValueId value) {
  return value.output == 0 ? Json(value.node) : Json(fmt::format("{}:{}", value.node, value.output));
}

// A named axis as {"axis": 0, "name": "tokens"}; its size in "shape" is the bound.
void add_named_axis(Json& object, const Type& type) {
  if (type.named) object["named_axis"] = {{"axis", type.named.axis}, {"name", *type.named.name}};
}

Json node_object(const GraphNode& node, std::int32_t id, const Annotate& annotate) {
  Json object;
  object["id"] = id;
  object["op"] = node.name();
  object["inputs"] = Json::array();
  for (ValueId input : node.inputs) object["inputs"].push_back(value_reference(input));
  if (!node.types.empty()) {  // launches may give nothing
    object["shape"] = node.type().shape;
    object["dtype"] = to_string(node.type().dtype);
    add_named_axis(object, node.type());
  }
  if (node.types.size() > 1)
    for (const Type& type : node.types) {
      Json output{{"shape", type.shape}, {"dtype", to_string(type.dtype)}};
      add_named_axis(output, type);
      object["outputs"].push_back(std::move(output));
    }
  object["scope"] = node.scope ? *node.scope : std::string();
  object["from"] = Json::array();
  for (const Source& source : node.from) object["from"].push_back(source.node);
  object["label"] = node.label;
  object["attrs"] = attrs_object(node.attrs);
  for (const auto& [name, body] : bodies_of(node)) object[std::string(name)] = op_names(*body);
  if (annotate) {
    const NodeNote note = annotate(id);
    if (!note.text.empty()) {
      object["note"] = note.text;
      object["heat"] = field_value(note.heat);
    }
  }
  return object;
}

// Labels come from files and need not be UTF-8.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

// One node a line: large graphs stay readable, compare line by line, and are never held twice.
std::string to_json(const Graph& graph, const std::string& stage, const Annotate& annotate) {
  std::string text =
      fmt::format("{{\"stage\": {}, \"phase\": {}, \"nodes\": [", dump(stage), dump(to_string(graph.phase)));
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    text += id == 0 ? "\n" : ",\n";
    text += dump(node_object(graph.nodes[id], static_cast<std::int32_t>(id), annotate));
  }
  text += "\n], \"outputs\": [";
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const std::string name = i < graph.output_names.size() ? graph.output_names[i] : std::string();
    text += i == 0 ? "" : ", ";
    text += dump(Json{{"value", value_reference(graph.outputs[i])}, {"name", name}});
  }
  return text + "]}\n";
}

}  // namespace lazuli
