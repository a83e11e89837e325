// SPDX-License-Identifier: MIT
// Graphs as text: what parses is printed, parsed again and is the same, and every picture of it is made.
#include <lazuli/graph/graph.h>
#include <lazuli/graph/pictures/pictures.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/tests/fuzz/fuzzing.h>

#include <nlohmann/json.hpp>

namespace lazuli::fuzz {
namespace {

void check_round_trip(const Graph& graph) {
  const std::string text = to_text(graph);
  Graph again;
  require(accepted([&] { again = parse_graph(text); }), "what was printed is parsed", text);
  require(to_text(again) == text, "a graph comes back from its text", text);
  require(structural_key(again) == structural_key(graph), "a graph comes back from its text", text);
  require(again.output_names == graph.output_names, "results keep their names", text);
}

void draw(const Graph& graph) {
  require(!to_dot(graph).empty(), "a graph can be drawn");
  for (const std::string& json : {to_json(graph, "built"), to_model_explorer(graph, "graph")})
    require(nlohmann::json::accept(json), "a graph's JSON is valid", json);
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  Graph graph;
  if (!fuzz::accepted([&] { graph = parse_graph(fuzz::text_of(data, size)); })) return 0;
  fuzz::check_round_trip(graph);
  fuzz::accepted([&] { verify(graph, "reading it"); });
  fuzz::draw(graph);
  return 0;
}
