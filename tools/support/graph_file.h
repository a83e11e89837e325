// SPDX-License-Identifier: MIT
// Graphs of files, which are no language model's, as functions that commands can run.
#pragma once

#include <lazuli/graph/evaluator.h>

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace lazuli::tool {

struct CommonOptions;

struct GraphOptions {
  std::string path;                 // --graph; empty: a model is meant
  std::vector<std::string> inputs;  // --input

  bool given() const { return !path.empty(); }
};

void add_graph_options(CLI::App& command, GraphOptions& options);

// Throws UsageError unless a model or a graph is given and not both, and, beside a graph, for those of `model_options`
// that were stated: they would change nothing.
void check_subject(const CLI::App& command, const CommonOptions& common, const GraphOptions& graph,
                   std::vector<std::string> model_options = {});

// A file of save(), or a graph as text, whose constants get random values. So do arguments: reals in [-1, 1), booleans
// either, integers 0, since they may be places in something; unless --input says otherwise. The same at each start.
class GraphFile {
 public:
  // Throws an Error that names the file and what is wrong with it; UsageError for an --input that does not fit.
  explicit GraphFile(const GraphOptions& options);

  const std::string& name() const { return name_; }  // of the file, without its folder
  // "graph 0123456789abcdef": equal for equal structure, whatever the weights.
  std::string shape() const;
  const Graph& graph() const { return function_.graph(arguments_); }
  const CompiledFunction& function() const { return function_; }
  const std::vector<Array>& arguments() const { return arguments_; }

 private:
  std::string name_;
  CompiledFunction function_;
  std::vector<Array> arguments_;
};

// Calls of the function, one after the other. What a call gives up goes round: the result that took the memory over is
// the argument of the next.
class GraphCalls {
 public:
  explicit GraphCalls(const GraphFile& file);

  // Waits for the results.
  std::vector<Array> call();
  // So many warm calls take a few milliseconds, which a clock tells apart; at least one.
  int count_for_sample();

 private:
  CompiledFunction function_;
  std::vector<Array> arguments_;
};

}  // namespace lazuli::tool
