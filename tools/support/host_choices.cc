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

std::string option_name(std::string_view setting) {
  std::string name = "--" + std::string(setting);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

Settings built_in(const CpuIdentity& cpu, const ModelInfo& info) {
  Settings values{
      {"threads", std::to_string(cpu.cores)}, {"chunk", std::to_string(info.prefill_chunk)}, {"split_bytes", "0"}};
  if (info.architecture.empty() || info.architecture == "gemma3n") values.emplace("altup", "stacked");
  return values;
}

// Of the host, then of the model.
std::vector<MeasuredChoices> measured_choices(const CpuIdentity& cpu, const ModelInfo* model) {
  std::vector<MeasuredChoices> measured{shipped_choices(cpu, model ? model->architecture : "")};
  std::vector<std::string> shapes{""};
  if (model) shapes.push_back(model_shape(*model));
  for (const std::string& shape : shapes) {
    FoundTuning found = find_tuning(cpu::default_cache_folder(), {to_string(cpu), shape, tuning_version()});
    if (found.record) measured.push_back({ChoiceOrigin::tuned, std::move(*found.record)});
    if (model && !found.note.empty()) log("note: " + found.note);
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

CommonOptions take_choices(CommonOptions options, const ModelInfo* model) {
  const CpuIdentity cpu = cpu_identity();
  const StatedChoices environment = environment_choices([](const char* name) { return std::getenv(name); });
  std::shared_ptr<const Choices> choices;
  try {
    choices = std::make_shared<const Choices>(
        built_in(cpu, model ? *model : ModelInfo{}), measured_choices(cpu, model),
        std::vector<StatedChoices>{environment, {ChoiceOrigin::stated, option_name, options.stated}});
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  const auto chosen = [&](std::string_view name) -> const std::string* {
    const ChoiceInForce* choice = choices->find(name);
    return choice && choice->origin != ChoiceOrigin::built_in ? &choice->value : nullptr;
  };
  options.fusion = to_string(choices->fusion());
  if (const std::string* threads = chosen("threads")) options.threads = std::stoi(*threads);
  if (const std::string* chunk = chosen("chunk")) options.chunk = *chunk;
  if (const std::string* altup = chosen("altup")) options.altup = *altup;
  if (const std::string* bytes = chosen("split_bytes")) options.split_bytes = std::stoll(*bytes);
  options.choices = std::move(choices);
  return options;
}

}  // namespace lazuli::tool
