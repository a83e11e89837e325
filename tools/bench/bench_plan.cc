// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/tools/bench/bench_plan.h>
#include <lazuli/tools/support/errors.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>
#include <utility>

namespace lazuli::tool {
namespace {

struct Sweepable {
  std::string key;  // an option's long name
  bool concerns_prompt, concerns_decode;
  bool concerns_run;
};

// Sizes, the settings that can be chosen on a machine, and options that change results.
const std::vector<Sweepable>& sweepables() {
  static const std::vector<Sweepable> all = [] {
    std::vector<Sweepable> rows{{"prompt", true, false, false}, {"depth", false, true, false}};
    for (const Setting& setting : settings())
      rows.push_back({setting.option().substr(2), setting.concerns_prompt, setting.concerns_decode,
                      setting.owner == SettingOwner::session});
    for (const char* key : {"precision", "backend"}) rows.push_back({key, true, true, true});
    rows.push_back({"kv", true, true, false});
    return rows;
  }();
  return all;
}

bool concerns(std::string_view key, BenchPart part) {
  for (const Sweepable& sweepable : sweepables())
    if (sweepable.key == key)
      return part == BenchPart::prompt   ? sweepable.concerns_prompt
             : part == BenchPart::decode ? sweepable.concerns_decode
                                         : sweepable.concerns_run;
  return false;
}

void check_key(std::string_view key) {
  std::vector<std::string> keys;
  for (const Sweepable& sweepable : sweepables()) keys.push_back(sweepable.key);
  if (std::find(keys.begin(), keys.end(), key) != keys.end()) return;
  fail_usage("--sweep: \"{}\" cannot be swept{}; expected one of {} and =VALUE,VALUE", key,
             near_matches_text(key, keys), fmt::join(keys, ", "));
}

bool goes_on(std::string_view word) { return !word.empty() && (word[0] == '+' || word[0] == '-'); }

std::vector<std::string> split_values(std::string_view option, std::string_view text) {
  std::vector<std::string> values;
  for (;;) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, end);
    if (word.empty()) fail_usage("{}: a value is empty; expected VALUE,VALUE", option);
    if (goes_on(word) && !values.empty())
      values.back().append(",").append(word);
    else
      values.emplace_back(word);
    if (end == text.size()) return values;
    text.remove_prefix(end + 1);
  }
}

std::string fusion_option(const std::string& value) {
  const std::size_t end = std::min(value.find(','), value.size());
  const std::string level = value.substr(0, end);
  return (level == "fused" ? "all" : level == "unfused" ? "none" : level) + value.substr(end);
}

// As if the command line had said so: a value is checked by the option it is a value of.
void set(BenchCase& bench_case, const BenchLabel& label) {
  CLI::App parser;
  add_common_options(parser, bench_case.options, ModelOption::none);
  add_bench_sizes(parser, bench_case.sizes);
  try {
    parser.parse({"--" + label.key + "=" + (label.key == fusion_setting ? fusion_option(label.value) : label.value)});
  } catch (const CLI::ParseError& error) {
    fail_usage("--sweep {}={}: {}", label.key, label.value, error.what());
  }
  bench_case.options.runner();  // checks the chunk
}

std::string name_of(const BenchRequest& request, const std::vector<BenchLabel>& labels) {
  if (labels.empty()) {
    const std::string& fusion = request.options.fusion;
    return fusion == "all" ? "fused" : fusion == "none" ? "unfused" : fusion;
  }
  if (request.sweeps.empty()) return labels[0].value;
  std::string name;
  for (const BenchLabel& label : labels) name += (name.empty() ? "" : "/") + label.key + "=" + label.value;
  return name;
}

std::vector<BenchAxis> axes_of(const BenchRequest& request) {
  std::vector<BenchAxis> axes = request.sweeps;
  if (request.compare) axes.push_back(*request.compare);
  for (auto axis = axes.begin(); axis != axes.end(); ++axis)
    if (std::any_of(axes.begin(), axis, [&](const BenchAxis& earlier) { return earlier.key == axis->key; }))
      fail_usage("--sweep: {} is swept twice; expected each option once, and fusion not beside --compare", axis->key);
  if (request.graph)
    for (const BenchAxis& axis : axes)
      if (!concerns(axis.key, BenchPart::run))
        fail_usage("--sweep: {} is a matter of models; --graph has none", axis.key);
  return axes;
}

std::vector<BenchPart> parts_of(const BenchRequest& request) {
  if (request.graph) return {BenchPart::run};
  return {BenchPart::prompt, BenchPart::decode};
}

bool is_left_out(const BenchCase& bench_case) {
  return (bench_case.part == BenchPart::prompt && bench_case.sizes.prompt == 0) ||
         (bench_case.part == BenchPart::decode && bench_case.sizes.decode == 0);
}

// Counts through the product, the last axis fastest. False after the last combination.
bool advance(std::vector<std::size_t>& indices, const std::vector<BenchAxis>& axes) {
  for (std::size_t i = axes.size(); i-- > 0;) {
    if (++indices[i] < axes[i].values.size()) return true;
    indices[i] = 0;
  }
  return false;
}

std::vector<BenchPair> pairs_of(const std::vector<BenchCase>& cases, bool compare) {
  std::vector<BenchPair> pairs;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto same_point = [&](const BenchCase& other) {
      if (other.part != cases[i].part) return false;
      return !compare || std::equal(other.labels.begin(), other.labels.end() - 1, cases[i].labels.begin());
    };
    const auto first = static_cast<std::size_t>(std::find_if(cases.begin(), cases.end(), same_point) - cases.begin());
    if (first != i) pairs.push_back(compare ? BenchPair{first, i} : BenchPair{i, first});
  }
  return pairs;
}

}  // namespace

std::string_view to_string(BenchPart part) {
  constexpr std::string_view names[] = {"prompt", "decode", "run"};
  return names[static_cast<std::size_t>(part)];
}

std::string_view unit_of(BenchPart part) { return part == BenchPart::run ? "runs/s" : "tokens/s"; }

void add_bench_sizes(CLI::App& command, BenchSizes& sizes) {
  const auto add = [&](const char* name, std::int64_t& value, int least, const char* help) {
    command.add_option(name, value, help)->type_name("N")->capture_default_str()->check(CLI::Range(least, 1 << 24));
  };
  add("-p,--prompt", sizes.prompt, 0, "tokens of the prompt; 0 leaves it out");
  add("-n,--tokens", sizes.decode, 0, "tokens to generate; 0 leaves them out");
  add("--depth", sizes.depth, 1, "tokens of context before the generated ones");
}

BenchAxis parse_sweep(std::string_view text) {
  const std::size_t end = std::min(text.find('='), text.size());
  const std::string_view key = text.substr(0, end);
  check_key(key);
  return {std::string(key), split_values("--sweep", text.substr(std::min(end + 1, text.size())))};
}

BenchAxis parse_compare(std::string_view text) {
  return {std::string(fusion_setting), split_values("--compare", text)};
}

BenchPlan bench_plan(const BenchRequest& request) {
  const std::vector<BenchAxis> axes = axes_of(request);
  std::vector<BenchCase> cases;
  std::set<std::pair<BenchPart, std::vector<std::size_t>>> seen;
  std::vector<std::size_t> indices(axes.size());
  do {
    for (const BenchPart part : parts_of(request)) {
      BenchCase added{.part = part, .options = request.options, .sizes = request.sizes};
      std::vector<std::size_t> concerning;
      for (std::size_t i = 0; i < axes.size(); ++i) {
        if (!concerns(axes[i].key, part)) continue;
        concerning.push_back(indices[i]);
        added.labels.push_back({axes[i].key, axes[i].values[indices[i]]});
      }
      if (added.labels.empty() && !axes.empty()) continue;
      if (!seen.emplace(part, std::move(concerning)).second) continue;
      for (const BenchLabel& label : added.labels) set(added, label);
      if (is_left_out(added)) continue;
      added.name = name_of(request, added.labels);
      cases.push_back(std::move(added));
    }
  } while (advance(indices, axes));
  std::vector<BenchPair> pairs = pairs_of(cases, request.compare.has_value());
  return {std::move(cases), std::move(pairs)};
}

}  // namespace lazuli::tool
