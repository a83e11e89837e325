// SPDX-License-Identifier: MIT
// Clusters of a picture: a tree of scopes, and which nodes stand in each.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/pictures/dot/drawing.h>

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

namespace lazuli::dot {

struct Cluster {
  std::string path, title;
  std::vector<std::size_t> nodes, children;
  std::int32_t group = CollapsedGraph::no_group;  // of alike layers
};

class ClusterTree {
 public:
  explicit ClusterTree(const Drawing& drawing);

  static constexpr std::size_t root = 0;
  const Cluster& operator[](std::size_t cluster) const { return clusters_[cluster]; }
  std::size_t drawn_count() const { return drawn_count_; }
  // The cluster that a drawn node stands in.
  std::size_t home(std::size_t node) const { return home_[node]; }
  // An input that three or more clusters read (positions, lengths), or two where layers stand side by side, is drawn in
  // each of them: its edges would cross every layer.
  bool repeated(std::size_t node) const { return repeated_[node]; }
  // The id of a node's picture as readers in `cluster` see it.
  std::string picture(std::size_t node, std::size_t cluster) const {
    return repeated_[node] && cluster != home_[node] ? fmt::format("n{}_{}", node, cluster) : fmt::format("n{}", node);
  }

 private:
  std::size_t cluster_of(const std::string& path);
  void place(const Drawing& drawing, const std::vector<Scope::Ref>& places);
  void name_groups(const Drawing& drawing, const std::vector<Scope::Ref>& places);

  std::vector<Cluster> clusters_;
  std::unordered_map<std::string, std::size_t> ids_;
  std::vector<std::size_t> home_;  // of a repeated input that of its first picture
  std::vector<bool> repeated_;
  std::size_t drawn_count_ = 0;
};

}  // namespace lazuli::dot
