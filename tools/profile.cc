// SPDX-License-Identifier: MIT
// lazuli profile: where the time of one warm step goes.
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/profile/trace.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/graph_engine.h>
#include <lazuli/tools/support/one_of.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/step_profile.h>

#include <CLI/CLI.hpp>
#include <optional>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  GraphOptions graph;
  std::string phase = "decode", trace, html;
  std::int64_t rows = 128, depth = 0, top = 15;
  double seconds = 2;
};

constexpr std::int64_t decode_depth = 8;  // unless said otherwise

void write(std::optional<OutputFile>& file, const std::string& text) {
  file->write(text);
  file->commit();
}

ProfileOptions choice_of(const Options& options, Session& session) {
  ProfileOptions choice;
  const int threads = session.threads();
  choice.limits = measure_limits(threads, session.isa());
  choice.overhead_seconds = options.seconds;
  choice.labels = {{"cpu", fmt::format("{}, {} thread{}, instruction set {}", cpu_name(), threads,
                                       threads == 1 ? "" : "s", to_string(session.isa()))}};
  return choice;
}

// Measured before and after: what else the host does only lowers them.
void raise_limits(Profile& profile, Session& session) {
  profile.limits = higher_of(*profile.limits, measure_limits(session.threads(), session.isa()));
}

struct Profiled {
  std::string name;  // of what was profiled
  Profile profile;
};

Profiled profile_model(const Options& options) {
  Engine engine(options.common);
  const Phase phase = parse_phase(options.phase);
  const std::int64_t depth = options.depth > 0 || phase == Phase::prefill ? options.depth : decode_depth;
  Profile profile =
      profile_step(engine, engine.options().runner(), phase, options.rows, depth, choice_of(options, engine.session()));
  raise_limits(profile, engine.session());
  return {options.phase, std::move(profile)};
}

Profiled profile_graph(const Options& options) {
  GraphEngine engine(options.common, options.graph);
  Profile profile = engine.profile(choice_of(options, engine.session()));
  raise_limits(profile, engine.session());
  return {engine.file().name(), std::move(profile)};
}

int run(const Options& options, const CLI::App& command) {
  check_subject(command, options.common, options.graph, {"--phase", "--rows", "--depth"});
  std::optional<OutputFile> trace, html;
  if (!options.trace.empty()) trace.emplace(options.trace);
  if (!options.html.empty()) html.emplace(options.html);
  const auto [name, profile] = options.graph.given() ? profile_graph(options) : profile_model(options);
  if (trace) write(trace, chrome_trace(profile, fmt::format("lazuli {}, {} threads", name, profile.threads)));
  if (html) write(html, to_html(profile));
  if (options.common.json)
    print(to_json(profile) + "\n");
  else
    print(to_text(profile, static_cast<std::size_t>(options.top)));
  return success;
}

}  // namespace

Command add_profile(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("profile", "show where the time of one warm step goes");
  add_common_options(*command, options->common, ModelOption::optional);
  add_graph_options(*command, options->graph);
  command->add_option("--phase", options->phase, "decode or prefill")
      ->capture_default_str()
      ->check(one_of({"prefill", "decode"}));
  const auto add = [&](const char* name, std::int64_t& value, const char* help, bool show_default) {
    CLI::Option* option = command->add_option(name, value, help)->check(CLI::Range(1, 1 << 20));
    if (show_default) option->capture_default_str();
  };
  command->add_option("--trace", options->trace, "write the step as a Chrome trace, for Perfetto")->type_name("FILE");
  command->add_option("--html", options->html, "write a page with plots and tables")->type_name("FILE");
  add("--rows", options->rows, "rows of the prompt chunk", true);
  add("--depth", options->depth, "tokens of context before the step; 8 before a token, none before a prompt", false);
  add("--top", options->top, "how many of the hottest nodes to list", true);
  command
      ->add_option("--seconds", options->seconds,
                   "how long to run profiled and unprofiled steps by turns, for what profiling costs; 0: not at all")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 600.0));
  return {command, [options, command] { return run(*options, *command); }};
}

}  // namespace lazuli::tool
