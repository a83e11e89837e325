// SPDX-License-Identifier: MIT
// lazuli tokenize: the ids and pieces of a text.
#include <fmt/format.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/options.h>
#include <lazuli/tools/support/output.h>

#include <CLI/CLI.hpp>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  PromptOptions prompt;
  bool no_bos = false;
  bool special = false;
};

// One piece a line: newlines and other control characters are spelled \xNN, as is the backslash.
std::string visible(std::string_view piece) {
  std::string shown;
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '\\')
      shown += fmt::format("\\x{:02x}", byte);
    else
      shown += c;
  }
  return shown;
}

int run(const Options& options) {
  options.prompt.check();
  const std::unique_ptr<LanguageModel> model = load_with_notes(options.common.model, options.common.model_options());
  const std::shared_ptr<const Tokenizer> tokenizer = model->tokenizer();
  if (!tokenizer) fail_no_tokenizer(options.common.model);
  const std::vector<std::int32_t> ids =
      options.prompt.has_ids() ? read_ids_option(*options.prompt.ids)
                               : tokenizer->encode(options.prompt.read_text(),
                                                   {.add_bos = !options.no_bos, .parse_special = options.special});
  std::vector<std::string> pieces;
  for (const std::int32_t id : ids) pieces.push_back(tokenizer->piece(id));
  if (options.common.json) {
    print_json({{"ids", ids}, {"pieces", pieces}});
    return success;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) print(fmt::format("{:>7}  {}\n", ids[i], visible(pieces[i])));
  return success;
}

}  // namespace

Command add_tokenize(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("tokenize", "show the ids and pieces of a text");
  add_common_options(*command, options->common, ModelOption::required);
  add_prompt_options(*command, options->prompt);
  command->add_flag("--no-bos", options->no_bos, "do not put the begin-of-text token first");
  command->add_flag("--special", options->special, "cut control tokens out of the text as well");
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
