// SPDX-License-Identifier: MIT
#include <lazuli/graph/node_record.h>

#include <utility>

namespace lazuli {
namespace {
thread_local NodeRecord* innermost = nullptr;
}

NodeRecord::NodeRecord() : outer_(std::exchange(innermost, this)) {}
NodeRecord::~NodeRecord() { innermost = outer_; }

bool NodeRecord::is_recording() { return innermost != nullptr; }

void NodeRecord::add(const Node& node) {
  for (NodeRecord* record = innermost; record != nullptr; record = record->outer_) record->nodes_.insert(&node);
}

}  // namespace lazuli
