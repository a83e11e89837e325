// SPDX-License-Identifier: MIT
// Which nodes this thread has made since a body began to be traced. Private to graph/.
#pragma once

#include <unordered_set>

namespace lazuli {

struct Node;

// Records while it lives. Records nest: what is made during an inner one belongs to the outer ones as well. Leaves with
// data and placeholders are not recorded.
class NodeRecord {
 public:
  NodeRecord();
  ~NodeRecord();
  NodeRecord(const NodeRecord&) = delete;
  NodeRecord& operator=(const NodeRecord&) = delete;

  bool contains(const Node& node) const { return nodes_.contains(&node); }
  static bool is_recording();
  // By what makes nodes.
  static void add(const Node& node);

 private:
  std::unordered_set<const Node*> nodes_;
  NodeRecord* outer_;
};

}  // namespace lazuli
