// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/graph.h>
#include <lazuli/passes/rules/rules.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/tune/tune_choices.h>

#include <algorithm>
#include <future>

namespace lazuli::tool {
namespace {

std::vector<std::string> present_first(std::string present, const std::vector<std::string>& others) {
  std::vector<std::string> values{std::move(present)};
  for (const std::string& value : others)
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  return values;
}

}  // namespace

std::vector<TunableChoice> tunable_choices(const CommonOptions& options, const SettingScope& scope, bool of_models) {
  std::vector<TunableChoice> choices;
  const auto add_fusions = [&] {
    for (const Rule& rule : named_rules()) choices.push_back({rule.name, {"on", "off"}});
    choices.push_back({"fuse_loops", {"on", "off"}});
    for (const std::string_view fusion : backend_fusions) choices.push_back({std::string(fusion), {"on", "off"}});
  };
  for (const Setting& setting : settings()) {
    if (setting.owner == SettingOwner::model && !of_models) continue;
    if (setting.name == fusion_setting) {
      if (!options.stated.contains(fusion_setting)) add_fusions();
    } else if (const std::string built_in = setting.built_in(scope); !built_in.empty()) {
      choices.push_back({std::string(setting.name), present_first(built_in, setting.measured(scope))});
    }
  }
  std::erase_if(choices, [&](const TunableChoice& choice) { return options.stated.contains(choice.name); });
  return choices;
}

CommonOptions with_settings(CommonOptions options, const Settings& settings) {
  FusionChoice fusion = FusionChoice::parse(options.fusion);
  for (const auto& [name, value] : settings) {
    if (find_setting(name))
      options.set(name, value);
    else if (value == "off")
      fusion.overrides.insert_or_assign(name, false);
  }
  options.fusion = to_string(fusion);
  return options;
}

std::string identity_of(const CompiledGraph& compiled, int threads) {
  std::string identity = fmt::format("{} threads\n{}", threads, structural_key(compiled.program->scheduled()));
  for (const ProgramStep& launch : compiled.program->steps())
    identity += fmt::format("{} {} {}\n", launch.kernel, launch.split, launch.barrier);
  return identity;
}

std::unique_ptr<Session> make_detached_session(const CommonOptions& options, bool disk_cache) {
  SessionOptions session = options.session();
  session.disk_cache = disk_cache;
  return std::async(std::launch::async, [&] { return make_session(std::move(session)); }).get();
}

}  // namespace lazuli::tool
