// SPDX-License-Identifier: MIT
// Embeds the runtime: asks for a gated MLP, prints what was asked for and what will run, and runs it.
//   hello [FOLDER]    also draws both graphs, FOLDER/mlp-before.svg and FOLDER/mlp-after.svg
#include <lazuli/lazuli.h>

#include <algorithm>
#include <fstream>
#include <iostream>

namespace lz = lazuli;

namespace {

lz::Array gated_mlp() {
  const lz::Array x = lz::random::normal({4, 640}, lz::f32, /*key=*/1);
  const lz::Array gate = lz::random::normal({2048, 640}, lz::f32, 2), up = lz::random::normal({2048, 640}, lz::f32, 3);
  return lz::gelu_tanh(lz::linear(x, gate)) * lz::linear(x, up);
}

bool has_node(const lz::Graph& graph, std::string_view name) {
  return std::ranges::count(graph.nodes, name, &lz::GraphNode::name) > 0;
}

bool same_bits_as_unfused(std::span<const float> fused) {
  lz::SessionOptions options;
  options.fusion = "none";
  const lz::Session session(options);  // the evaluator of this thread until it is destroyed
  const lz::Array y = gated_mlp();
  return std::ranges::equal(fused, y.data<float>());
}

}  // namespace

int main(int argc, char** argv) {
  const lz::Array y = gated_mlp();  // nothing has run yet

  lz::Session session;  // threads, compiled programs
  const lz::Graph asked_for = lz::graph_of({y}), planned = session.plan({y});
  std::cout << lz::to_text(asked_for) << "\n" << lz::to_text(planned) << "\n";
  if (argc > 1) {
    std::ofstream(std::string(argv[1]) + "/mlp-before.svg") << lz::to_svg(asked_for);
    std::ofstream(std::string(argv[1]) + "/mlp-after.svg") << lz::to_svg(planned);
  }

  const std::span<const float> values = y.data<float>();  // runs, and waits for the result
  std::cout << "largest value: " << std::ranges::max(values) << "\n";
  const bool fused = !has_node(asked_for, "gelu_mul") && has_node(planned, "gelu_mul");
  return fused && same_bits_as_unfused(values) ? 0 : 1;
}
