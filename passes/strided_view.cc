// SPDX-License-Identifier: MIT
#include <lazuli/graph/strided_layout.h>
#include <lazuli/passes/strided_view.h>

#include <algorithm>
#include <iterator>

namespace lazuli {

Shape without_ones(const Shape& shape) {
  Shape sizes;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(sizes), [](std::int64_t size) { return size != 1; });
  return sizes;
}

StridedView strided_view(const Graph& graph, ValueId value) {
  constexpr std::size_t max_chain = 64;  // longer ones start in between: time stays linear in the graph
  StridedView view;
  view.base = value;
  while (is_view(graph.node(view.base).op) && view.chain.size() < max_chain) {
    view.chain.push_back(view.base.node);
    view.base = graph.node(view.base).inputs[0];
  }
  std::reverse(view.chain.begin(), view.chain.end());
  StridedLayout layout = contiguous_layout(graph.type(view.base).shape);
  std::size_t start = 0;
  for (std::size_t i = 0; i < view.chain.size(); ++i) {
    const GraphNode& node = graph.nodes[static_cast<std::size_t>(view.chain[i])];
    if (std::optional<StridedLayout> next = apply_view(node.op, node.attrs, layout)) {
      layout = std::move(*next);
      continue;
    }
    layout = contiguous_layout(node.type().shape);
    view.base = {view.chain[i], 0};
    start = i + 1;
  }
  view.chain.erase(view.chain.begin(), view.chain.begin() + static_cast<std::ptrdiff_t>(start));
  for (std::size_t axis = 0; axis < layout.shape.size(); ++axis) {
    if (layout.shape[axis] == 1) continue;
    view.sizes.push_back(layout.shape[axis]);
    view.strides.push_back(layout.strides[axis]);
  }
  view.offset = layout.offset;
  return view;
}

}  // namespace lazuli
