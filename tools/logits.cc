// SPDX-License-Identifier: MIT
// lazuli logits: the logits of every position of a prompt, as a safetensors file.
#include <fmt/format.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/support/output.h>

#include <CLI/CLI.hpp>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  PromptOptions prompt;
  std::string output;
};

int run(const Options& options) {
  options.prompt.check();
  OutputFile file(options.output);
  Engine engine(options.common);
  const std::vector<std::int32_t> ids = engine.encode(options.prompt);
  const auto tokens = static_cast<std::int64_t>(ids.size());
  const std::int64_t vocabulary = engine.model().info().vocab_size;

  const SafetensorsEntry entry{"logits", {DType::f32, {tokens, vocabulary}}};
  file.write(safetensors_header({&entry, 1}));
  Runner runner(engine.model(), engine.options().runner());
  runner.prefill_logits(ids, [&](std::int64_t first_row, const Array& logits, std::int64_t rows) {
    check_interrupt();
    file.write(logits.bytes(), static_cast<std::size_t>(rows * vocabulary * 4));
    engine.show_prompt(first_row + rows, tokens);
  });
  file.commit();
  engine.end_progress();

  if (options.common.json)
    print_json({{"path", options.output}, {"tensor", "logits"}, {"shape", {tokens, vocabulary}}});
  else
    print(fmt::format("{}: logits f32 [{}, {}]\n", options.output, tokens, vocabulary));
  return success;
}

}  // namespace

Command add_logits(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("logits", "write the logits of every position of a prompt");
  add_common_options(*command, options->common, ModelOption::required);
  add_prompt_options(*command, options->prompt);
  command->add_option("-o,--output", options->output, "safetensors file to write")->type_name("FILE")->required();
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
