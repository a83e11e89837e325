// SPDX-License-Identifier: MIT
// lazuli tune: measures what may be chosen on this host, one choice after the other, and keeps what pays.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/host/cpu_identity.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/host/process_memory.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/graph_file.h>
#include <lazuli/tools/support/memory.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/progress.h>
#include <lazuli/tools/support/synthetic_model.h>
#include <lazuli/tools/tune/graph_workload.h>
#include <lazuli/tools/tune/tune_workload.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <ctime>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  GraphOptions graph;
  TuneWork work;
  double budget = 60;
  std::string only;
};

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm date{};
  gmtime_r(&now, &date);
  return fmt::format("{:04}-{:02}-{:02}", date.tm_year + 1900, date.tm_mon + 1, date.tm_mday);
}

// Those that --only names, in their own order.
std::vector<TunableChoice> wanted_choices(std::vector<TunableChoice> choices, std::string_view only) {
  if (only.empty()) return choices;
  std::vector<std::string> names, wanted;
  for (const TunableChoice& choice : choices) names.push_back(choice.name);
  for (std::string_view rest = only; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    wanted.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    if (std::find(names.begin(), names.end(), wanted.back()) == names.end())
      fail_usage("--only: there is no choice \"{}\"{}; expected some of {}", wanted.back(),
                 near_matches_text(wanted.back(), names), fmt::join(names, ","));
  }
  std::erase_if(choices, [&](const TunableChoice& choice) {
    return std::find(wanted.begin(), wanted.end(), choice.name) == wanted.end();
  });
  return choices;
}

// What an earlier tuning in the same circumstances found and this one had no time for stays.
TuningRecord merged(TuningRecord record, const FoundTuning& earlier) {
  if (!earlier.record) return record;
  for (const TunedChoice& choice : earlier.record->choices) {
    const auto measured = [](const TunedChoice& tuned) {
      return std::any_of(tuned.trials.begin(), tuned.trials.end(),
                         [](const Trial& trial) { return trial.outcome != TrialOutcome::unmeasured; });
    };
    const auto again = std::find_if(record.choices.begin(), record.choices.end(),
                                    [&](const TunedChoice& tuned) { return tuned.name == choice.name; });
    if (again == record.choices.end())
      record.choices.push_back(choice);
    else if (!measured(*again) && measured(choice))
      *again = choice;
  }
  return record;
}

std::string choice_line(const TunedChoice& choice) {
  const bool changed = std::any_of(choice.trials.begin(), choice.trials.end(),
                                   [](const Trial& trial) { return trial.outcome == TrialOutcome::faster; });
  return fmt::format("  {:<16} {:<8} {:<7} {}\n", choice.name, choice.value, changed ? "taken" : "stays",
                     choice.trials.empty() ? "there is no other value to try" : figures_text(choice));
}

struct Tuned {
  TuningRecord record;
  std::string path;      // "" where it is not kept
  std::string not_kept;  // why
};

// Why figures taken so are not for later runs; "" where they are.
std::string reason_against_keeping(const CommonOptions& options, const std::string& folder) {
  if (folder.empty()) return "LAZULI_CACHE is off, or there is no home folder";
  if (tuning_version().empty()) return "this build has no identity to keep it under";
  const CommonOptions defaults;
  if (options.backend != defaults.backend || options.precision != defaults.precision || options.kv != defaults.kv ||
      !options.stated.empty())
    return "measured under other options than the defaults";
  return {};
}

void keep(Tuned& tuned, const CommonOptions& options) {
  const std::string folder = cpu::default_cache_folder();
  tuned.not_kept = reason_against_keeping(options, folder);
  if (!tuned.not_kept.empty()) return;
  const FoundTuning earlier = find_tuning(folder, tuned.record.key);  // before the record moves
  tuned.record = merged(std::move(tuned.record), earlier);
  try {
    tuned.path = store_tuning(folder, tuned.record);
  } catch (const Error& error) {  // what was measured is still shown
    tuned.not_kept = error.what();
  }
}

// Figures taken beside other work are true of the host as it is now, above all those of threads.
void note_other_load() {
  double load = 0;
  constexpr double idle = 0.5;
  if (getloadavg(&load, 1) == 1 && load > idle)
    log(fmt::format("note: other work runs on this host (load {:.1f}); measure when it is idle", load));
}

// What is measured.
struct Subject {
  std::string title, shape;
  std::vector<TunableChoice> choices;
  Prepare prepare;
};

Tuned tune_subject(const Options& options, const Subject& subject) {
  const std::vector<TunableChoice> choices = wanted_choices(subject.choices, options.only);
  note_other_load();
  Tuned tuned{{{to_string(cpu_identity()), subject.shape, tuning_version()}, today(), {}}, {}, {}};
  if (!options.common.json)
    print_now(fmt::format("{}\n{}, {} s\n\n", tuned.record.key.cpu, subject.title, options.budget));
  TuneOptions tuning;
  tuning.seconds = options.budget;
  Progress bar("measuring", static_cast<std::int64_t>(choices.size()));
  tuning.on_choice = [&, done = 0](const TunedChoice& choice) mutable {
    bar.wipe();
    if (!options.common.json) print_now(choice_line(choice));
    bar.advance_to(++done);
  };
  tuned.record.choices = tune(choices, subject.prepare, tuning);
  keep(tuned, options.common);
  return tuned;
}

// `general`: the model is only an example, and what is measured on it holds for any.
Tuned tune_model(const Options& options, CommonOptions common, bool general) {
  TuneWork work = options.work;
  work.disk_cache = !general;
  const std::string path = common.model;
  TuneWorkload workload(std::move(common), work);
  // Two settings at a time: they share the weights that are mapped from the cache on disk.
  const bool shared = work.disk_cache && !cpu::default_cache_folder().empty();
  check_fits(path, (shared ? 1 : 2) * weight_memory(workload.info(), *parse_precision(options.common.precision)),
             available_memory());
  return tune_subject(options, {.title = fmt::format("{}, prompt of {} tokens, decode after {}", workload.info().name,
                                                     options.work.prompt, options.work.depth),
                                .shape = general ? "" : model_shape(workload.info()),
                                .choices = workload.choices(),
                                .prepare = [&](const Settings& settings) { return workload.prepare(settings); }});
}

Tuned tune_graph(const Options& options) {
  make_session(options.common.session());  // a bad choice shows before the file is read
  const GraphFile file(options.graph);
  GraphWorkload workload(options.common, file);
  return tune_subject(options, {.title = file.name(),
                                .shape = file.shape(),
                                .choices = workload.choices(),
                                .prepare = [&](const Settings& settings) { return workload.prepare(settings); }});
}

// Measured against the defaults: neither the environment nor earlier tunings count, and what the command line states is
// held fixed.
Tuned run_tuning(const Options& options) {
  if (options.graph.given()) return tune_graph(options);
  if (!options.common.model.empty()) return tune_model(options, options.common, /*general=*/false);
  const SyntheticModel model(usable_cores());
  CommonOptions common = options.common;
  common.model = model.path();
  return tune_model(options, common, /*general=*/true);
}

int run(const Options& options, const CLI::App& command) {
  if (options.graph.given() || !options.graph.inputs.empty())
    check_subject(command, options.common, options.graph, {"--prompt", "--depth"});
  const Tuned tuned = run_tuning(options);
  if (options.common.json) {
    Json document = Json::parse(to_json(tuned.record));
    document["path"] = tuned.path;
    print_json(document);
  } else {
    print(tuned.path.empty() ? fmt::format("\nnot kept: {}\n", tuned.not_kept)
                             : fmt::format("\nkept in {}\n", tuned.path));
  }
  return success;
}

}  // namespace

Command add_tune(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand(
      "tune", "measure fusions, threads, chunks and the rest on this host, and keep what is faster");
  add_common_options(*command, options->common, ModelOption::optional);
  add_graph_options(*command, options->graph);
  command->add_option("--budget", options->budget, "seconds for all measurements")
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
  command->add_option("--only", options->only, "measure these choices alone")->type_name("NAME,...");
  const auto add = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->type_name("N")->capture_default_str()->check(CLI::Range(1, 1 << 20));
  };
  add("-p,--prompt", options->work.prompt, "tokens of the prompt; larger chunks are not tried");
  add("--depth", options->work.depth, "tokens of context before the generated ones");
  return {command, [options, command] { return run(*options, *command); }};
}

}  // namespace lazuli::tool
