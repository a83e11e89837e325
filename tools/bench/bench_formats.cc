// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/runtime/profile/limits_json.h>
#include <lazuli/tools/bench/bench_formats.h>

#include <algorithm>

namespace lazuli::tool {
namespace {

struct Spread {
  double median, least, most;
};
Spread spread_of(const BenchRun& run) {
  const auto [least, most] = std::minmax_element(run.rates.begin(), run.rates.end());
  return {median(run.rates), *least, *most};
}

std::string gain(double ratio) { return fmt::format("{:+.1f} %", 100 * (ratio - 1)); }

std::string limits_text(const HostLimits& limits) {
  const auto number = [](std::optional<double> value, const char* unit) {
    return value ? fmt::format("{:.0f} {}", *value, unit) : "-";
  };
  return fmt::format("limits: read {:.1f} GB/s; peaks f32 {}, bf16 {}, int8 {}", limits.read_gbps,
                     number(limits.f32_gflops, "GFLOP/s"), number(limits.bf16_gflops, "GFLOP/s"),
                     number(limits.int8_gops, "GOP/s"));
}

std::string size_text(const BenchRun& run) {
  return run.part == BenchPart::decode ? fmt::format("{} at {}", run.tokens, run.depth) : fmt::format("{}", run.tokens);
}

std::string bits_text(const BenchBits& bits) {
  constexpr std::string_view results[] = {"logits of the last row", "generated ids", "results"};
  const std::string title = fmt::format("{} {}: {}", to_string(bits.part), size_text(*bits.first),
                                        results[static_cast<std::size_t>(bits.part)]);
  if (bits.differing.empty()) return fmt::format("{} identical in all {} variants", title, bits.compared);
  std::string names;
  for (const BenchRun* run : bits.differing) names += (names.empty() ? "" : ", ") + run->variant;
  return fmt::format("{} of {} differ from those of {}", title, names, bits.first->variant);
}

// What a person wants to know beside the figures, a line each.
std::vector<std::string> notes(const BenchReport& report) {
  std::vector<std::string> lines;
  for (const BenchBits& bits : compare_bits(report)) lines.push_back(bits_text(bits));
  if (report.prompt_peak_share)
    lines.push_back(fmt::format("prompt: {:.0f} % of the matmul peak", 100 * *report.prompt_peak_share));
  if (report.decode_floor_share)
    lines.push_back(fmt::format("decode: {:.0f} % of the memory read rate", 100 * *report.decode_floor_share));
  for (const BenchRun& run : report.runs)
    if (run.part == BenchPart::run)
      lines.push_back(fmt::format("{}: {:.3f} ms a run", run.variant, 1e3 / median(run.rates)));
  return lines;
}

std::size_t widest(const BenchReport& report, std::size_t least, std::string (*column)(const BenchRun&)) {
  for (const BenchRun& run : report.runs) least = std::max(least, column(run).size());
  return least;
}

// All runs of a report have one: it is of a model or of a graph.
std::string_view unit_of(const BenchReport& report) {
  return unit_of(report.runs.empty() ? BenchPart::prompt : report.runs[0].part);
}

Json optional_number(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json run_json(const BenchRun& run) {
  const Spread spread = spread_of(run);
  Json labels = Json::object();
  for (const BenchLabel& label : run.labels) labels[label.key] = label.value;
  return {{"name", to_string(run.part)}, {"variant", run.variant}, {"labels", labels},
          {"tokens", run.tokens},        {"depth", run.depth},     {"threads", run.threads},
          {"median", spread.median},     {"min", spread.least},    {"max", spread.most},
          {"unit", unit_of(run.part)},   {"samples", run.rates},   {"checksum", fmt::format("{:016x}", run.checksum)}};
}

// Fields with commas or quotes stand in quotes.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

// Sizes and threads have columns and name parts of their own, swept or not.
bool is_size(const BenchLabel& label) {
  return label.key == "prompt" || label.key == "depth" || label.key == "threads";
}

std::vector<std::string> swept_keys(const BenchReport& report) {
  std::vector<std::string> keys;
  for (const BenchRun& run : report.runs)
    for (const BenchLabel& label : run.labels)
      if (!is_size(label) && std::find(keys.begin(), keys.end(), label.key) == keys.end()) keys.push_back(label.key);
  return keys;
}

std::string value_of(const BenchRun& run, const std::string& key) {
  for (const BenchLabel& label : run.labels)
    if (label.key == key) return label.value;
  return "";
}

std::string benchstat_name(const BenchRun& run) {
  std::string name = run.part == BenchPart::run ? std::string("BenchmarkRun")
                     : run.part == BenchPart::prompt
                         ? fmt::format("BenchmarkPrompt/prompt={}", run.tokens)
                         : fmt::format("BenchmarkDecode/tokens={}/depth={}", run.tokens, run.depth);
  for (const BenchLabel& label : run.labels)
    if (!is_size(label)) name += fmt::format("/{}={}", label.key, label.value);
  return fmt::format("{}/threads={}", name, run.threads);
}

}  // namespace

std::span<const BenchFormat> bench_formats() {
  static constexpr BenchFormat formats[] = {
      {"text", bench_text},
      {"markdown", bench_markdown},
      {"csv", bench_csv},
      {"json", [](const BenchReport& report) { return json_text(bench_json(report)); }},
      {"benchstat", bench_benchstat},
  };
  return formats;
}

std::string bench_text(const BenchReport& report) {
  const std::size_t variant = widest(report, 7, [](const BenchRun& run) { return run.variant; });
  const std::size_t size = widest(report, 6, size_text);
  std::string text = fmt::format("{}\n{}, {}, {} repetitions\n{}\n\n", report.model, host_text(report), unit_of(report),
                                 report.repetitions, limits_text(report.limits));
  text += fmt::format("{:<6}  {:<{}}  {:<{}}  {:>10}  {:>10}  {:>10}\n", "run", "tokens", size, "variant", variant,
                      "median", "min", "max");
  for (const BenchRun& run : report.runs) {
    const Spread spread = spread_of(run);
    text += fmt::format("{:<6}  {:<{}}  {:<{}}  {:>10.2f}  {:>10.2f}  {:>10.2f}\n", to_string(run.part), size_text(run),
                        size, run.variant, variant, spread.median, spread.least, spread.most);
  }
  text += "\n";
  for (const auto& [after, before, ratio] : ratios(report))
    text += fmt::format("{}: {} / {}: {:.3f} (95 %: {:.3f} to {:.3f}), {}\n", to_string(after->part), after->variant,
                        before->variant, ratio.value, ratio.low, ratio.high, gain(ratio.value));
  for (const std::string& note : notes(report)) text += note + "\n";
  return text;
}

std::string bench_markdown(const BenchReport& report) {
  std::string text = fmt::format("{}; {}; {}, median (min to max) of {} by turns; {}\n\n", report.model,
                                 host_text(report), unit_of(report), report.repetitions, limits_text(report.limits));
  const auto cell = [](const BenchRun& run) {
    const Spread spread = spread_of(run);
    return fmt::format("{:.2f} ({:.2f} to {:.2f})", spread.median, spread.least, spread.most);
  };
  text += fmt::format("| run | tokens | variant | {} |\n| --- | --- | --- | ---: |\n", unit_of(report));
  for (const BenchRun& run : report.runs)
    text += fmt::format("| {} | {} | {} | {} |\n", to_string(run.part), size_text(run), run.variant, cell(run));
  const std::vector<BenchRatio> compared = ratios(report);
  if (!compared.empty())
    text += fmt::format(
        "\n| run | before | after | before, {0} | after, {0} | gain (95 %) |\n"
        "| --- | --- | --- | ---: | ---: | ---: |\n",
        unit_of(report));
  for (const auto& [after, before, ratio] : compared)
    text += fmt::format("| {} {} | {} | {} | {} | {} | {} ({} to {}) |\n", to_string(after->part), size_text(*after),
                        before->variant, after->variant, cell(*before), cell(*after), gain(ratio.value),
                        gain(ratio.low), gain(ratio.high));
  text += "\n";
  for (const std::string& note : notes(report)) text += "- " + note + "\n";
  return text;
}

std::string bench_csv(const BenchReport& report) {
  const std::vector<std::string> keys = swept_keys(report);
  std::string text = "model,cpu,isa,threads,run,tokens,depth,variant";
  for (const std::string& key : keys) text.append(",").append(csv_field(key));
  text +=
      unit_of(report) == unit_of(BenchPart::run) ? ",repetition,runs_per_second\n" : ",repetition,tokens_per_second\n";
  for (const BenchRun& run : report.runs) {
    std::string start =
        fmt::format("{},{},{},{},{},{},{},{}", csv_field(report.model), csv_field(report.cpu), report.isa, run.threads,
                    to_string(run.part), run.tokens, run.depth, csv_field(run.variant));
    for (const std::string& key : keys) start.append(",").append(csv_field(value_of(run, key)));
    for (std::size_t i = 0; i < run.rates.size(); ++i) text += fmt::format("{},{},{}\n", start, i + 1, run.rates[i]);
  }
  return text;
}

Json bench_json(const BenchReport& report) {
  Json runs = Json::array(), ratio_list = Json::array();
  for (const BenchRun& run : report.runs) runs.push_back(run_json(run));
  for (const auto& [after, before, ratio] : ratios(report))
    ratio_list.push_back({{"name", to_string(after->part)},
                          {"first", after->variant},
                          {"second", before->variant},
                          {"ratio", ratio.value},
                          {"low", ratio.low},
                          {"high", ratio.high}});
  return {{"cpu", report.cpu},
          {"isa", report.isa},
          {"threads", report.threads},
          {"model", report.model},
          {"prompt_tokens", report.sizes.prompt},
          {"decode_tokens", report.sizes.decode},
          {"depth", report.sizes.depth},
          {"repetitions", report.repetitions},
          {"limits", limits_json(report.limits)},
          {"runs", runs},
          {"ratios", ratio_list},
          {"decode_floor_share", optional_number(report.decode_floor_share)},
          {"prompt_peak_share", optional_number(report.prompt_peak_share)}};
}

std::string bench_benchstat(const BenchReport& report) {
  std::string text = fmt::format("goos: linux\ngoarch: amd64\npkg: lazuli\ncpu: {}\nisa: {}\nmodel: {}\n", report.cpu,
                                 report.isa, report.model);
  const std::string_view unit = unit_of(report) == unit_of(BenchPart::run) ? "runs/s" : "tok/s";
  text += fmt::format("Unit {} better=higher\n", unit);
  for (const BenchRun& run : report.runs) {
    const bool prompt = run.part == BenchPart::prompt;
    const double tokens_per_operation = prompt ? static_cast<double>(run.tokens) : 1;
    for (const double rate : run.rates)
      text += fmt::format("{} {} {:.0f} ns/op {:.4f} {}\n", benchstat_name(run), prompt ? 1 : run.tokens,
                          1e9 * tokens_per_operation / rate, rate, unit);
  }
  return text;
}

}  // namespace lazuli::tool
