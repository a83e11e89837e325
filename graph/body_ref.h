// SPDX-License-Identifier: MIT
// The graph inside a node of control flow (scan, while_loop, cond), as its attributes hold it.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <memory>
#include <string>

namespace lazuli {

struct Graph;
enum class NumberKey : std::uint8_t;

// A handle; copies share the graph, which never changes.
class LAZULI_API BodyRef {
 public:
  BodyRef() = default;  // none
  explicit BodyRef(Graph graph);

  explicit operator bool() const { return held_ != nullptr; }
  const Graph& operator*() const;  // there is one
  const Graph* operator->() const { return &**this; }

  // Graphs of equal structure, with the same numbers.
  bool operator==(const BodyRef& other) const;
  // Appends structural_key, equal exactly where the bodies are.
  void append_key(std::string& key, NumberKey numbers) const;
  // 1, and more where bodies hold bodies; 0 without a graph. Those of fused nodes do not count.
  int depth() const;

 private:
  struct Held;

  std::shared_ptr<const Held> held_;
};

// How deep control flow may nest: what walks bodies goes down by recursion.
inline constexpr int max_body_depth = 8;

}  // namespace lazuli
