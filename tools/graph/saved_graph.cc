// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/tools/graph/saved_graph.h>
#include <lazuli/tools/support/options.h>
#include <lazuli/tools/support/output.h>

namespace lazuli::tool {
namespace {

constexpr std::string_view expected = "expected a graph saved by `lazuli graph -o F.json`";

// Reads the fields of one JSON object, and says where one is of the wrong kind.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("{} is {}; {}", where_, object.type_name(), expected);
  }

  std::string text(const char* name) const {
    const Json* value = find(name);
    if (value && !value->is_string()) wrong(name, *value, "text");
    return value ? value->get<std::string>() : std::string();
  }
  std::vector<std::string> texts(const char* name) const {
    std::vector<std::string> list;
    for (const Json& item : array(name)) {
      if (!item.is_string()) wrong(name, item, "a list of texts");
      list.push_back(item.get<std::string>());
    }
    return list;
  }
  std::vector<std::pair<std::string, std::string>> pairs(const char* name) const {
    std::vector<std::pair<std::string, std::string>> list;
    const Json* value = find(name);
    if (value && !value->is_object()) wrong(name, *value, "an object");
    if (value)
      for (const auto& [key, item] : value->items())
        list.emplace_back(key, item.is_string() ? item.get<std::string>() : item.dump());
    return list;
  }
  Json array(const char* name) const {
    const Json* value = find(name);
    if (value && !value->is_array()) wrong(name, *value, "a list");
    return value ? *value : Json::array();
  }
  // "f32[1,640]" of "dtype" and "shape".
  std::string type() const {
    if (!find("dtype")) return {};
    std::vector<std::int64_t> sizes;
    for (const Json& size : array("shape")) {
      if (!size.is_number_integer()) wrong("shape", size, "a list of sizes");
      sizes.push_back(size.get<std::int64_t>());
    }
    return fmt::format("{}[{}]", text("dtype"), fmt::join(sizes, ","));
  }
  const std::string& where() const { return where_; }

 private:
  const Json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  [[noreturn]] void wrong(const char* name, const Json& value, const char* kind) const {
    fail("{}: \"{}\" has {}; expected {}", where_, name, value.type_name(), kind);
  }

  const Json& object_;
  std::string where_;
};

SavedNode read_node(const Fields& fields) {
  SavedNode node{fields.text("op"), fields.text("scope"),  fields.text("label"),
                 fields.type(),     fields.pairs("attrs"), fields.texts("body")};
  if (node.op.empty()) fail("{} has no \"op\"; {}", fields.where(), expected);
  if (node.op == "input") node.attrs.clear();
  std::vector<std::string> types;
  for (const Json& output : fields.array("outputs")) types.push_back(Fields(output, fields.where()).type());
  if (!types.empty()) node.type = fmt::format("{}", fmt::join(types, ", "));
  return node;
}

}  // namespace

SavedGraph read_saved_graph(const std::string& path) {
  Json document;
  try {
    document = Json::parse(read_file(path));
  } catch (const Json::parse_error& error) {
    fail("{}: no JSON at byte {}; {}", path, error.byte, expected);
  } catch (const Json::exception&) {
    fail("{}: a number in it is out of range; {}", path, expected);
  }
  const Fields fields(document, path);
  if (!document.contains("nodes")) fail("{}: no \"nodes\"; {}", path, expected);
  SavedGraph graph{fields.text("stage"), fields.text("phase"), {}};
  for (const Json& node : fields.array("nodes"))
    graph.nodes.push_back(read_node(Fields(node, fmt::format("{}: node {}", path, graph.nodes.size()))));
  return graph;
}

}  // namespace lazuli::tool
