// SPDX-License-Identifier: MIT
// The subcommands. Each adds itself to the parser and says what to run when it was the one asked for.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace lazuli::tool {

struct Command {
  CLI::App* parser;
  std::function<int()> run;  // returns the exit status
};

Command add_generate(CLI::App& tool);
Command add_logits(CLI::App& tool);
Command add_perplexity(CLI::App& tool);
Command add_tokenize(CLI::App& tool);
Command add_bench(CLI::App& tool);
Command add_graph(CLI::App& tool);
Command add_profile(CLI::App& tool);
Command add_explain(CLI::App& tool);
Command add_tune(CLI::App& tool);
Command add_synth(CLI::App& tool);
Command add_info(CLI::App& tool);

}  // namespace lazuli::tool
