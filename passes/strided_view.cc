#include <lazuli/passes/strided_view.h>

#include <algorithm>
#include <iterator>

namespace lazuli {
namespace {

struct Window {
  Shape sizes;
  Dims strides;
  std::int64_t offset = 0;
};

// Splits and joins axes as numpy does when it reshapes without a copy: groups of axes with equal products are matched
// from the left, and the axes of one group must lie contiguously. False where they do not.
bool reshape_window(Window& window, const Shape& shape) {
  Dims old_strides;
  Shape old_sizes;
  for (std::size_t axis = 0; axis < window.sizes.size(); ++axis) {
    if (window.sizes[axis] == 1) continue;
    old_sizes.push_back(window.sizes[axis]);
    old_strides.push_back(window.strides[axis]);
  }
  Dims strides(shape.size());
  std::size_t old_axis = 0, axis = 0;
  while (axis < shape.size() && old_axis < old_sizes.size()) {
    std::size_t old_end = old_axis + 1, end = axis + 1;
    std::int64_t old_product = old_sizes[old_axis], product = shape[axis];
    while (old_product != product) {
      if (product < old_product) {
        if (end == shape.size()) return false;
        product *= shape[end++];
      } else {
        if (old_end == old_sizes.size()) return false;
        old_product *= old_sizes[old_end++];
      }
    }
    for (std::size_t i = old_axis; i + 1 < old_end; ++i)
      if (old_strides[i] != old_strides[i + 1] * old_sizes[i + 1]) return false;
    std::int64_t stride = old_strides[old_end - 1];
    for (std::size_t i = end; i-- > axis;) {
      strides[i] = stride;
      stride *= shape[i];
    }
    old_axis = old_end;
    axis = end;
  }
  window.sizes = shape;
  window.strides = std::move(strides);
  return true;
}

void transpose_window(Window& window, const Dims& permutation) {
  const Window old = window;
  for (std::size_t axis = 0; axis < permutation.size(); ++axis) {
    window.sizes[axis] = old.sizes[static_cast<std::size_t>(permutation[axis])];
    window.strides[axis] = old.strides[static_cast<std::size_t>(permutation[axis])];
  }
}

void slice_window(Window& window, const SliceAttrs& slice, const Shape& shape) {
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    window.offset += slice.begin[axis] * window.strides[axis];
    window.strides[axis] *= slice.step[axis];
  }
  window.sizes = shape;
}

void broadcast_window(Window& window, const Shape& shape) {
  Dims strides(shape.size());
  const std::size_t added = shape.size() - window.sizes.size();
  for (std::size_t axis = 0; axis < window.sizes.size(); ++axis)
    if (window.sizes[axis] == shape[axis + added]) strides[axis + added] = window.strides[axis];
  window.sizes = shape;
  window.strides = std::move(strides);
}

Window whole(const Shape& shape) { return {shape, contiguous_strides(shape), 0}; }

}  // namespace

Shape without_ones(const Shape& shape) {
  Shape sizes;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(sizes), [](std::int64_t size) { return size != 1; });
  return sizes;
}

StridedView strided_view(const Graph& graph, ValueId value) {
  constexpr std::size_t longest_chain = 64;  // longer ones start in between: time stays linear in the graph
  StridedView view;
  view.base = value;
  while (is_view(graph.node(view.base).op) && view.chain.size() < longest_chain) {
    view.chain.push_back(view.base.node);
    view.base = graph.node(view.base).inputs[0];
  }
  std::reverse(view.chain.begin(), view.chain.end());
  Window window = whole(graph.type(view.base).shape);
  std::size_t start = 0;
  for (std::size_t i = 0; i < view.chain.size(); ++i) {
    const GraphNode& node = graph.nodes[static_cast<std::size_t>(view.chain[i])];
    const Shape& shape = node.type().shape;
    switch (node.op) {
      case Op::transpose:
        transpose_window(window, node.as<TransposeAttrs>().permutation);
        break;
      case Op::slice:
        slice_window(window, node.as<SliceAttrs>(), shape);
        break;
      case Op::broadcast_to:
        broadcast_window(window, shape);
        break;
      default:
        if (reshape_window(window, shape)) break;
        window = whole(shape);
        view.base = {view.chain[i], 0};
        start = i + 1;
    }
  }
  view.chain.erase(view.chain.begin(), view.chain.begin() + static_cast<std::ptrdiff_t>(start));
  for (std::size_t axis = 0; axis < window.sizes.size(); ++axis) {
    if (window.sizes[axis] == 1) continue;
    view.sizes.push_back(window.sizes[axis]);
    view.strides.push_back(window.strides[axis]);
  }
  view.offset = window.offset;
  return view;
}

}  // namespace lazuli
