// SPDX-License-Identifier: MIT
// lazuli perplexity: how well a model foresees a text, teacher-forced, in one window.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/support/output.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  PromptOptions prompt;
  std::optional<std::string> ids_file;
};

// -log softmax(logits)[next], in double. Throws where a logit is not finite.
double negative_log_likelihood(std::span<const float> logits, std::int32_t next, std::int64_t position) {
  if (!std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); }))
    fail("perplexity: the logits of the token at position {} are not finite; weights may be damaged", position);
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum) - logits[static_cast<std::size_t>(next)];
}

std::vector<std::int32_t> read_ids(const Engine& engine, const Options& options) {
  std::vector<std::int32_t> ids = options.ids_file ? read_ids_file(*options.ids_file) : engine.encode(options.prompt);
  if (ids.size() < 2) fail_usage("perplexity: {} token given, expected at least 2", ids.size());
  return ids;
}

int run(const Options& options) {
  if (!options.ids_file) options.prompt.check();
  Engine engine(options.common);
  const std::vector<std::int32_t> ids = read_ids(engine, options);
  const auto tokens = static_cast<std::int64_t>(ids.size());
  const auto vocabulary = static_cast<std::size_t>(engine.model().info().vocab_size);

  double total = 0;
  Runner runner(engine.model(), engine.options().runner());
  runner.prefill_logits(ids, [&](std::int64_t first_row, const Array& logits, std::int64_t rows) {
    const std::span<const float> values = logits.data<float>();
    for (std::int64_t row = 0; row < rows && first_row + row + 1 < tokens; ++row) {
      check_interrupt();
      const std::int64_t next = first_row + row + 1;
      total += negative_log_likelihood(values.subspan(static_cast<std::size_t>(row) * vocabulary, vocabulary),
                                       ids[static_cast<std::size_t>(next)], next);
    }
    engine.show_prompt(first_row + rows, tokens);
  });
  engine.end_progress();

  const double mean = total / static_cast<double>(tokens - 1);
  if (options.common.json)
    print_json({{"tokens", tokens}, {"mean_nll", mean}, {"perplexity", std::exp(mean)}});
  else
    print(fmt::format("tokens      {}\nmean nll    {:.6f}\nperplexity  {:.4f}\n", tokens, mean, std::exp(mean)));
  return success;
}

}  // namespace

Command add_perplexity(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("perplexity", "measure how well the model foresees a text");
  add_common_options(*command, options->common, ModelOption::required);
  add_prompt_options(*command, options->prompt);
  CLI::Option* ids_file =
      command->add_option("--ids-file", options->ids_file, "a file of token ids, taken as they are, or -")
          ->type_name("FILE");
  for (const char* other : {"--prompt", "--file", "--ids"}) ids_file->excludes(command->get_option(other));
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
