// SPDX-License-Identifier: MIT
// What is in force on this host: defaults, figures shipped for the CPU, tuning files, environment, command line.
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/cpu_identity.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/models/model.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/options.h>
#include <lazuli/tools/support/output.h>

#include <algorithm>
#include <cstdlib>

namespace lazuli::tool {
namespace {

Settings built_in(const SettingScope& scope) {
  Settings values;
  for (const Setting& setting : settings())
    if (const std::string value = setting.built_in ? setting.built_in(scope) : ""; !value.empty())
      values.emplace(setting.name, value);
  return values;
}

// Of the host, then of the model.
std::vector<MeasuredChoices> measured_choices(const CpuIdentity& cpu, const ModelInfo* model,
                                              const std::string& graph_shape) {
  std::vector<MeasuredChoices> measured{shipped_choices(cpu, model ? model->architecture : "")};
  std::vector<std::string> shapes{""};
  if (const std::string shape = model ? model_shape(*model) : graph_shape; !shape.empty()) shapes.push_back(shape);
  for (const std::string& shape : shapes) {
    FoundTuning found = find_tuning(cpu::default_cache_folder(), {to_string(cpu), shape, tuning_version()});
    if (found.record) measured.push_back({ChoiceOrigin::tuned, std::move(*found.record)});
    if (shapes.size() > 1 && !found.note.empty()) log("note: " + found.note);
  }
  return measured;
}

}  // namespace

std::string model_shape(const ModelInfo& info) {
  const auto largest = std::max_element(info.tensors.begin(), info.tensors.end(),
                                        [](const TensorTotal& a, const TensorTotal& b) { return a.bytes < b.bytes; });
  return fmt::format("{} {}x{} {}", info.architecture, info.layers, info.hidden_size,
                     largest == info.tensors.end() ? "" : to_string(largest->dtype));
}

SettingScope setting_scope(int cores, const ModelInfo* model) {
  const ModelInfo any;
  const ModelInfo& info = model ? *model : any;
  return {.cores = cores, .chunk = info.prefill_chunk, .has_altup = model == nullptr || info.has_altup};
}

CommonOptions take_choices(CommonOptions options, const ModelInfo* model, const std::string& graph_shape) {
  const CpuIdentity cpu = cpu_identity();
  const auto option_of = [](std::string_view name) { return setting(name).option(); };
  const StatedChoices environment = environment_choices([](const char* name) { return std::getenv(name); });
  std::shared_ptr<const Choices> choices;
  try {
    choices = std::make_shared<const Choices>(
        built_in(setting_scope(cpu.cores, model)), measured_choices(cpu, model, graph_shape),
        std::vector<StatedChoices>{environment, {ChoiceOrigin::stated, option_of, options.stated}});
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  for (const ChoiceInForce& choice : choices->list())
    if (choice.origin != ChoiceOrigin::built_in && find_setting(choice.name)) options.set(choice.name, choice.value);
  options.fusion = to_string(choices->fusion());
  options.choices = std::move(choices);
  return options;
}

}  // namespace lazuli::tool
