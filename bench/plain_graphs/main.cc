// SPDX-License-Identifier: MIT
// Runs plain graphs on request (serve.h), with inputs by formula (seed 1000 and up):
//   lazuli_plain_graphs [--threads N] [--fusion FUSION] [--precision fast|f32]
//   lazuli_plain_graphs --save NAME=FILE    writes one, for `lazuli profile --graph FILE` and other commands
#include <lazuli/bench/plain_graphs/cases.h>
#include <lazuli/bench/plain_graphs/serve.h>
#include <lazuli/examples/formula_weights.h>
#include <lazuli/graph/files/graph_file.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>

namespace lazuli::bench {
namespace {

class Runner : public GraphProgram {
 public:
  explicit Runner(const SessionOptions& options) : session_(options), graphs_(plain_graphs()) {}

  std::string version() const override { return lazuli::version(); }

  std::string names() const override {
    std::string names;
    for (const PlainGraph& graph : graphs_) names += (names.empty() ? "" : " ") + graph.name;
    return names;
  }

  void run(const std::string& name) override {
    Ready& ready = prepare(name);
    ready.results.clear();
    ready.results = session_.call(ready.function, ready.inputs);
    wait(ready.results[0]);
  }

  std::span<const float> result(const std::string& name) override { return prepare(name).results[0].data<float>(); }

  // `what` is NAME=FILE.
  void write_function(const std::string& what) {
    const std::size_t end = what.find('=');
    if (end == std::string::npos) throw Error("--save " + what + ": expected NAME=FILE");
    const Ready& ready = prepare(what.substr(0, end));
    save(ready.function, ready.inputs, what.substr(end + 1));
  }

 private:
  struct Ready {
    std::vector<Array> inputs;
    CompiledFunction function;
    std::vector<Array> results;
  };

  Ready& prepare(const std::string& name) {
    const auto known = ready_.find(name);
    if (known != ready_.end()) return known->second;
    const auto graph =
        std::find_if(graphs_.begin(), graphs_.end(), [&](const PlainGraph& g) { return g.name == name; });
    if (graph == graphs_.end()) throw Error("no graph is named " + name);
    Ready ready{{}, compile(graph->build), {}};
    std::uint32_t seed = 1000;
    for (const Shape& shape : graph->inputs) ready.inputs.push_back(formula_weights(shape, seed++, 1));
    return ready_.emplace(name, std::move(ready)).first->second;
  }

  Session session_;
  std::vector<PlainGraph> graphs_;
  std::map<std::string, Ready> ready_;
};

}  // namespace
}  // namespace lazuli::bench

int main(int count, char** values) {
  lazuli::SessionOptions options;
  std::string to_save;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view option = values[i];
    if (option == "--threads") options.threads = std::atoi(values[i + 1]);
    if (option == "--fusion") options.fusion = values[i + 1];
    if (option == "--save") to_save = values[i + 1];
    if (option == "--precision") options.precision = lazuli::parse_precision(values[i + 1]).value();
  }
  try {
    lazuli::bench::Runner runner(options);
    if (to_save.empty()) return lazuli::bench::serve(runner, "lazuli_plain_graphs");
    runner.write_function(to_save);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "lazuli_plain_graphs: " << error.what() << "\n";
    return 1;
  }
}
