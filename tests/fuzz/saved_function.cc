// SPDX-License-Identifier: MIT
// Saved functions and graphs: a graph's text and its constants in a safetensors file. What was read is written and read
// again, and is the same.
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/memory_folder.h>

#include <algorithm>

namespace lazuli::fuzz {
namespace {

void check_constants(const Graph& graph, const Graph& again) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const BufferRef &a = graph.nodes[i].constant, &b = again.nodes[i].constant;
    require((a == nullptr) == (b == nullptr), "a constant comes back as one");
    if (a)
      require(std::ranges::equal(std::span(a->data(), a->size()), std::span(b->data(), b->size())), "with its data");
  }
}

void save_and_load(const Graph& graph, const std::string& path) {
  save(graph, path);
  const Graph again = load_graph(path);
  require(to_text(again) == to_text(graph), "a graph comes back from a file", to_text(graph));
  check_constants(graph, again);
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  const std::string path = folder.write("function.lzg", fuzz::text_of(data, size));
  Graph graph;
  std::vector<int> donated;
  if (!fuzz::accepted([&] { graph = load_graph(path, &donated); })) return 0;
  for (const GraphNode& node : graph.nodes)
    if (node.constant) fuzz::read_all({node.constant->data(), node.constant->size()});
  for (const int index : donated)
    fuzz::require(index >= 0 && static_cast<std::size_t>(index) < graph.inputs().size(), "donated inputs are inputs");
  fuzz::accepted([&] { load(path); });
  // A listing of kernel launches is not saved.
  if (!graph.scheduled) fuzz::save_and_load(graph, folder.file("again.lzg"));
  return 0;
}
