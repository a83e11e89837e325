// SPDX-License-Identifier: MIT
// lazuli bench: tokens per second of prompts and generation, variants side by side, and how close they come to what the
// host can do.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/runtime/profile/host_limits.h>
#include <lazuli/tools/bench/bench_formats.h>
#include <lazuli/tools/bench/bench_plot.h>
#include <lazuli/tools/bench/bench_runs.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/graph_file.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/progress.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  GraphOptions graph;
  BenchSizes sizes;
  int repetitions = 5, warmup = 1;
  std::string compare, preset, format = "text", plot;
  std::vector<std::string> sweeps;
};

// The settings of a preset; what the command line says wins.
struct Preset {
  std::string_view name;
  BenchSizes sizes;
  int repetitions, warmup;
  std::string_view compare;
};
// published: as ollama reported what fusing GELU and softcap brings to Gemma 4 on MLX: 2048 tokens of prompt, 128
// generated behind them, 5 epochs after 1 of warm-up, before and after.
constexpr Preset presets[] = {{"published", {2048, 128, 2048}, 5, 1, "fused,unfused"}};

template <class Item>
const Item& named(std::span<const Item> items, std::string_view option, std::string_view wanted) {
  std::vector<std::string> names;
  for (const Item& item : items) {
    if (item.name == wanted) return item;
    names.emplace_back(item.name);
  }
  fail_usage("{}: there is no \"{}\"{}; expected one of {}", option, wanted, near_matches_text(wanted, names),
             fmt::join(names, ", "));
}

void apply_preset(Options& options, const CLI::App& command) {
  if (options.preset.empty()) return;
  const Preset& preset = named(std::span<const Preset>(presets), "--preset", options.preset);
  const auto keep = [&](const char* option, auto& value, const auto& choice) {
    if (command.count(option) == 0) value = choice;
  };
  keep("--prompt", options.sizes.prompt, preset.sizes.prompt);
  keep("--tokens", options.sizes.decode, preset.sizes.decode);
  keep("--depth", options.sizes.depth, preset.sizes.depth);
  keep("--reps", options.repetitions, preset.repetitions);
  keep("--warmup", options.warmup, preset.warmup);
  keep("--compare", options.compare, preset.compare);
}

BenchRequest request_of(const Options& options) {
  BenchRequest request{.options = options.common, .sizes = options.sizes};
  request.graph = options.graph.given();
  for (const std::string& sweep : options.sweeps) request.sweeps.push_back(parse_sweep(sweep));
  if (!options.compare.empty()) request.compare = parse_compare(options.compare);
  return request;
}

const BenchFormat& format_of(const Options& options) {
  return named(bench_formats(), "--format", options.common.json ? "json" : options.format);
}

const BenchRun* first_run(const BenchReport& report, BenchPart part) {
  const auto found =
      std::find_if(report.runs.begin(), report.runs.end(), [&](const BenchRun& run) { return run.part == part; });
  return found == report.runs.end() ? nullptr : &*found;
}

// Tokens a second times what one token costs, as a share of the host's limit.
std::optional<double> share(const BenchRun* run, std::int64_t cost_per_token, std::optional<double> limit) {
  if (run == nullptr || !limit) return std::nullopt;
  return median(run->rates) * static_cast<double>(cost_per_token) / (*limit * 1e9);
}

void add_shares(BenchReport& report, const ModelInfo& model, bool quantised) {
  const HostLimits& limits = report.limits;
  // The head runs on the last row alone, so its multiplications are no cost of a prompt's token.
  const std::int64_t weights = model.laid_out_parameters - model.vocab_size * model.hidden_size;
  const bool all_multiply = model.bytes_per_token >= model.laid_out_bytes;  // of experts, only the chosen ones
  if (all_multiply)
    report.prompt_peak_share = share(first_run(report, BenchPart::prompt), 2 * weights, limits.prompt_peak(quantised));
  report.decode_floor_share = share(first_run(report, BenchPart::decode), model.bytes_per_token, limits.read_gbps);
}

std::int64_t tokens_of(const BenchCase& bench_case) {
  switch (bench_case.part) {
    case BenchPart::prompt:
      return bench_case.sizes.prompt;
    case BenchPart::decode:
      return bench_case.sizes.decode;
    default:
      return 1;
  }
}

BenchReport measure(const Options& options, const BenchPlan& plan, BenchRuns& runs, const std::string& name) {
  const std::vector<BenchCase>& cases = plan.cases;
  BenchReport report{.cpu = cpu_name(),
                     .isa = std::string(to_string(runs.isa())),
                     .model = name,
                     .threads = runs.threads(),
                     .sizes = options.graph.given() ? BenchSizes{0, 0, 0} : options.sizes,
                     .repetitions = options.repetitions,
                     .limits = measure_limits(runs.threads(), runs.isa()),
                     .pairs = plan.pairs};
  const auto total = static_cast<std::int64_t>(cases.size()) * (options.repetitions + options.warmup);
  Progress bar("measuring", total);
  std::vector<BenchSamples> samples =
      runs.measure(options.warmup, options.repetitions, [&, done = 0]() mutable { bar.advance_to(++done); });
  for (std::size_t i = 0; i < cases.size(); ++i)
    report.runs.push_back({.part = cases[i].part,
                           .variant = cases[i].name,
                           .labels = cases[i].labels,
                           .tokens = tokens_of(cases[i]),
                           .depth = cases[i].part == BenchPart::decode ? cases[i].sizes.depth : 0,
                           .threads = samples[i].threads,
                           .rates = std::move(samples[i].rates),
                           .checksum = samples[i].checksum});
  return report;
}

BenchReport measure_model(const Options& options, const BenchPlan& plan) {
  BenchRuns runs(plan.cases);
  const ModelInfo model = runs.model();
  BenchReport report = measure(options, plan, runs, model.name);
  add_shares(report, model, plan.cases[0].options.precision == "fast");
  return report;
}

BenchReport measure_graph(const Options& options, const BenchPlan& plan) {
  for (const BenchCase& bench_case : plan.cases) make_session(bench_case.options.session());  // bad choices show first
  const GraphFile file(options.graph);
  BenchRuns runs(plan.cases, file);
  return measure(options, plan, runs, file.name());
}

int run(Options options, const CLI::App& command) {
  check_subject(command, options.common, options.graph, {"--prompt", "--tokens", "--depth", "--preset"});
  apply_preset(options, command);
  const BenchFormat& format = format_of(options);
  const BenchPlan plan = bench_plan(request_of(options));
  if (plan.cases.empty()) fail_usage("bench: nothing to measure: no part that is swept, or -p and -n are 0");
  if (!options.plot.empty() && plan.cases[0].labels.empty())
    fail_usage("--plot: nothing is swept; expected --sweep or --compare as well");
  std::optional<OutputFile> plot;  // opened before anything is measured
  if (!options.plot.empty()) plot.emplace(options.plot);
  const BenchReport report = options.graph.given() ? measure_graph(options, plan) : measure_model(options, plan);
  print(format.write(report));
  if (plot) {
    plot->write(bench_svg(report));
    plot->commit();
  }
  return success;
}

}  // namespace

Command add_bench(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      tool.add_subcommand("bench", "measure tokens per second, or runs of a graph, variants side by side");
  add_common_options(*command, options->common, ModelOption::optional);
  add_graph_options(*command, options->graph);
  add_bench_sizes(*command, options->sizes);
  const auto add = [&](const char* name, int& value, int least, const char* help) {
    command->add_option(name, value, help)->type_name("N")->capture_default_str()->check(CLI::Range(least, 1 << 24));
  };
  add("--reps", options->repetitions, 1, "repetitions");
  add("--warmup", options->warmup, 0, "repetitions before those that count");
  command->add_option("--compare", options->compare, "fused,unfused, or other --fusion values, by turns")
      ->type_name("A,B");
  command
      ->add_option(
          "--sweep", options->sweeps,
          "OPTION=A,B,...: a run for each value of prompt, chunk, depth, threads, fusion, precision, backend, kv "
          "or altup; several --sweep, and --compare, give all combinations; a value of fusion goes on "
          "after a comma with + or -: fusion=all,all,-softcap")
      ->type_name("LIST")
      ->allow_extra_args(false);
  command->add_option("--preset", options->preset, "published: -p 2048 -n 128 --depth 2048 --compare fused,unfused")
      ->type_name("NAME");
  CLI::Option* format = command->add_option("--format", options->format, "text, markdown, csv, json or benchstat")
                            ->type_name("NAME")
                            ->capture_default_str();
  command->get_option("--json")->excludes(format);
  command->add_option("--plot", options->plot, "draws the sweep into an SVG file")->type_name("FILE");
  return {command, [options, command] { return run(*options, *command); }};
}

}  // namespace lazuli::tool
