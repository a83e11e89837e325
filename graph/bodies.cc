// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/bodies.h>

#include <algorithm>
#include <mutex>

namespace lazuli {

struct BodyRef::Held {
  Graph graph;
  int depth = 1;
  // Every evaluation looks its program up, and asks for this.
  mutable std::once_flag once;
  mutable std::string key_without_numbers;

  explicit Held(Graph of) : graph(std::move(of)) {
    for (const GraphNode& node : graph.nodes)
      for_each_body(node.attrs, [&](const char*, const BodyRef& body) { depth = std::max(depth, 1 + body.depth()); });
  }
};

BodyRef::BodyRef(Graph graph) : held_(std::make_shared<const Held>(std::move(graph))) {}

const Graph& BodyRef::operator*() const {
  if (!held_) fail_internal("a body without a graph is read");
  return held_->graph;
}

int BodyRef::depth() const { return held_ ? held_->depth : 0; }

bool BodyRef::operator==(const BodyRef& other) const {
  if (held_ == other.held_) return true;
  if (!held_ || !other.held_) return false;
  return structural_key(held_->graph, NumberKey::values_and_slots) ==
         structural_key(other.held_->graph, NumberKey::values_and_slots);
}

void BodyRef::append_key(std::string& key, NumberKey numbers) const {
  std::string own;
  if (held_ && numbers == NumberKey::none) {
    std::call_once(held_->once, [&] { held_->key_without_numbers = structural_key(held_->graph, NumberKey::none); });
    own = held_->key_without_numbers;
  } else if (held_) {
    own = structural_key(held_->graph, numbers);
  }
  const std::size_t size = own.size();
  key.append(reinterpret_cast<const char*>(&size), sizeof size);
  key += own;
}

std::vector<NamedBody> bodies_of(const GraphNode& node) {
  std::vector<NamedBody> bodies;
  if (node.body) bodies.push_back({"body", node.body.get()});
  for_each_body(node.attrs, [&](const char* name, const BodyRef& body) {
    if (body) bodies.push_back({name, &*body});
  });
  return bodies;
}

std::vector<std::string_view> op_names(const Graph& body) {
  std::vector<std::string_view> names;
  for (const GraphNode& node : body.nodes)
    if (!is_leaf(node.op)) names.push_back(node.name());
  return names;
}

}  // namespace lazuli
