// lazuli bench: tokens per second of prompts and generation, variants side by side, and how close they come to what the
// host can do.
#include <lazuli/backends/cpu/isa.h>
#include <lazuli/backends/statistics.h>
#include <lazuli/models/load.h>
#include <lazuli/tools/bench_runs.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/errors.h>
#include <lazuli/tools/interrupt.h>
#include <lazuli/tools/limits.h>
#include <lazuli/tools/output.h>
#include <lazuli/tools/progress.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  BenchPlan plan{.prompt = 512, .decode = 128, .depth = 8, .repetitions = 5, .warmup = 1};
  std::string compare, sweep;
};

struct Result {
  BenchPlan plan;
  ModelInfo model;
  int threads = 0;
  HostLimits limits;
  std::vector<BenchVariant> variants;
  std::vector<BenchSamples> samples;
};

struct Part {
  const char* name;
  std::vector<double> BenchSamples::*values;
};
constexpr Part parts[] = {{"prompt", &BenchSamples::prompt}, {"decode", &BenchSamples::decode}};

// Tokens a second of the first variant times what one token costs, as a share of the host's limit. Null where there is
// no such run or limit.
Json share(const std::vector<double>& rates, double cost_per_token, std::optional<double> limit) {
  if (rates.empty() || !limit) return nullptr;
  return median(rates) * cost_per_token / (*limit * 1e9);
}

// Against the peak of this host in the arithmetic that prompts use: bf16 tiles where there are any, int8 otherwise. The head
// runs on the last row alone, so its multiplications are no cost of a prompt's token.
Json prompt_peak_share(const Result& result, bool quantised) {
  const double weights =
      static_cast<double>(result.model.parameters - result.model.vocab_size * result.model.hidden_size);
  return share(result.samples[0].prompt, 2 * weights,
               !quantised                ? result.limits.f32_gflops
               : result.limits.bf16_gflops ? result.limits.bf16_gflops
                                           : result.limits.int8_gops);
}

Json decode_floor_share(const Result& result) {
  return share(result.samples[0].decode, static_cast<double>(result.model.bytes_per_token), result.limits.read_gbps);
}

Json optional_number(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json runs_json(const Result& result) {
  Json runs = Json::array();
  for (std::size_t i = 0; i < result.variants.size(); ++i)
    for (const Part& part : parts) {
      const std::vector<double>& values = result.samples[i].*part.values;
      if (values.empty()) continue;
      const auto [least, most] = std::minmax_element(values.begin(), values.end());
      runs.push_back({{"name", part.name},
                      {"variant", result.variants[i].name},
                      {"median", median(values)},
                      {"min", *least},
                      {"max", *most},
                      {"unit", "tokens/s"},
                      {"samples", values}});
    }
  return runs;
}

// The first variant against each of the others.
Json ratios_json(const Result& result) {
  Json ratios = Json::array();
  for (std::size_t i = 1; i < result.variants.size(); ++i)
    for (const Part& part : parts) {
      const std::vector<double>&first = result.samples[0].*part.values, &second = result.samples[i].*part.values;
      if (first.empty()) continue;
      const Ratio ratio = paired_ratio(first, second);
      ratios.push_back({{"name", part.name},
                        {"first", result.variants[0].name},
                        {"second", result.variants[i].name},
                        {"ratio", ratio.value},
                        {"low", ratio.low},
                        {"high", ratio.high}});
    }
  return ratios;
}

Json to_json(const Result& result, bool int8) {
  const HostLimits& limits = result.limits;
  return {{"cpu", cpu_name()},
          {"isa", to_string(selected_isa())},
          {"threads", result.threads},
          {"model", result.model.name},
          {"prompt_tokens", result.plan.prompt},
          {"decode_tokens", result.plan.decode},
          {"depth", result.plan.depth},
          {"repetitions", result.plan.repetitions},
          {"limits",
           {{"read_gbps", limits.read_gbps},
            {"f32_gflops", optional_number(limits.f32_gflops)},
            {"bf16_gflops", optional_number(limits.bf16_gflops)},
            {"int8_gops", optional_number(limits.int8_gops)}}},
          {"runs", runs_json(result)},
          {"ratios", ratios_json(result)},
          {"decode_floor_share", decode_floor_share(result)},
          {"prompt_peak_share", prompt_peak_share(result, int8)}};
}

std::string number_or_dash(const Json& value, const char* unit) {
  return value.is_null() ? "-" : fmt::format("{:.0f} {}", value.get<double>(), unit);
}

std::string table(const Json& result) {
  const Json& limits = result["limits"];
  std::string text = fmt::format("{}, {}, {} threads\n", result["cpu"].get<std::string>(),
                                 result["isa"].get<std::string>(), result["threads"].get<int>());
  text += fmt::format("limits: read {:.1f} GB/s; peaks f32 {}, bf16 {}, int8 {}\n", limits["read_gbps"].get<double>(),
                      number_or_dash(limits["f32_gflops"], "GFLOP/s"), number_or_dash(limits["bf16_gflops"], "GFLOP/s"),
                      number_or_dash(limits["int8_gops"], "GOP/s"));
  text += fmt::format("prompt {} tokens; generation {} tokens after {}; {} repetitions\n\n",
                      result["prompt_tokens"].get<std::int64_t>(), result["decode_tokens"].get<std::int64_t>(),
                      result["depth"].get<std::int64_t>(), result["repetitions"].get<int>());
  text += fmt::format("{:<8}  {:<24}  {:>10}  {:>10}  {:>10}\n", "run", "variant", "median", "min", "max");
  for (const Json& run : result["runs"])
    text += fmt::format("{:<8}  {:<24}  {:>10.2f}  {:>10.2f}  {:>10.2f}  {}\n", run["name"].get<std::string>(),
                        run["variant"].get<std::string>(), run["median"].get<double>(), run["min"].get<double>(),
                        run["max"].get<double>(), run["unit"].get<std::string>());
  if (!result["ratios"].empty()) text += "\n";
  for (const Json& ratio : result["ratios"])
    text += fmt::format("{:<8}  {} / {}: {:.3f} (95 %: {:.3f} to {:.3f})\n", ratio["name"].get<std::string>(),
                        ratio["first"].get<std::string>(), ratio["second"].get<std::string>(),
                        ratio["ratio"].get<double>(), ratio["low"].get<double>(), ratio["high"].get<double>());
  const auto add_share = [&](const char* key, const char* label) {
    if (!result[key].is_null()) text += fmt::format("{}: {:.0f} %\n", label, 100 * result[key].get<double>());
  };
  text += "\n";
  add_share("prompt_peak_share", "prompt: share of the fastest matmul");
  add_share("decode_floor_share", "decode: share of the memory read rate");
  return text;
}

std::vector<BenchVariant> variants_of(const Options& options) {
  if (!options.sweep.empty()) return parse_sweep(options.sweep, options.common.fusion);
  const std::int64_t chunk = parse_chunk(options.common.chunk);
  if (!options.compare.empty()) return parse_variants(options.compare, chunk);
  return {{options.common.fusion == "all"    ? "fused"
           : options.common.fusion == "none" ? "unfused"
                                             : options.common.fusion,
           options.common.fusion, chunk}};
}

int run(const Options& options) {
  watch_interrupt();
  Result result;
  result.plan = options.plan;
  if (!options.sweep.empty()) result.plan.decode = 0;  // the chunk is a matter of prompts alone
  if (result.plan.prompt == 0 && result.plan.decode == 0) fail_usage("bench: nothing to measure: -p and -n are 0");
  std::vector<BenchVariant> variants = variants_of(options);
  const std::unique_ptr<LanguageModel> model = load_model(options.common.model, options.common.model_options());
  BenchRuns runs(*model, options.common, std::move(variants));
  result.model = model->info();
  result.threads = runs.threads();
  result.variants = runs.variants();
  result.limits = measure_limits(result.threads);

  const int steps = ((result.plan.prompt > 0) + (result.plan.decode > 0)) * static_cast<int>(result.variants.size());
  {
    Progress bar("measuring", steps * (result.plan.repetitions + result.plan.warmup));
    result.samples = runs.measure(result.plan, [&, done = 0]() mutable { bar.advance_to(++done); });
  }
  const Json document = to_json(result, options.common.precision == "fast");
  if (options.common.json)
    print_json(document);
  else
    print(table(document));
  return success;
}

}  // namespace

Command add_bench(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("bench", "measure tokens per second, variants side by side");
  add_common_options(*command, options->common, ModelOption::required);
  const auto add = [&](const char* name, auto& value, int least, const char* help) {
    command->add_option(name, value, help)->type_name("N")->capture_default_str()->check(CLI::Range(least, 1 << 24));
  };
  add("-p,--prompt", options->plan.prompt, 0, "tokens of the prompt; 0 leaves it out");
  add("-n,--tokens", options->plan.decode, 0, "tokens to generate; 0 leaves them out");
  add("--depth", options->plan.depth, 1, "tokens of context before the generated ones");
  add("--reps", options->plan.repetitions, 1, "repetitions");
  add("--warmup", options->plan.warmup, 0, "repetitions before those that count");
  CLI::Option* compare =
      command->add_option("--compare", options->compare, "fused,unfused, or other --fusion values")->type_name("A,B");
  command->add_option("--sweep", options->sweep, "chunk=64,128,...: a prompt run for each")
      ->type_name("LIST")
      ->excludes(compare);
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
