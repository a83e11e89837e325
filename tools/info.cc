// SPDX-License-Identifier: MIT
// lazuli info: what this host offers, which choices are in force, and what a checkpoint holds.
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/kernels/blas.h>
#include <lazuli/models/model.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/memory.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/version.h>
#include <lazuli/version.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
};

Json isa_json() {
  Json levels = Json::array();
  for (const IsaLevel& level : isa_levels())
    levels.push_back({{"isa", to_string(level.isa)}, {"usable", level.usable}, {"reason", level.reason}});
  return levels;
}

Json blas_json() {
  try {
    const BlasInfo blas = blas_info();
    return {{"library", blas.library}, {"config", blas.config}, {"core", blas.core}};
  } catch (const Error& error) {
    return {{"missing", error.what()}};
  }
}

Json fusions_json(const Choices& choices) {
  Json fusions = Json::array();
  for (const std::string_view name : fusion_names()) {
    const ChoiceInForce& choice = *choices.find(name);
    fusions.push_back({{"name", name}, {"on", choice.value == "on"}, {"because", origin_text(choice)}});
  }
  return fusions;
}

Json other_choices_json(const Choices& choices) {
  Json others = Json::array();
  for (std::size_t i = fusion_names().size(); i < choices.list().size(); ++i) {
    const ChoiceInForce& choice = choices.list()[i];
    others.push_back({{"name", choice.name}, {"value", choice.value}, {"because", origin_text(choice)}});
  }
  return others;
}

Json host_json(const Session& session, const CommonOptions& options) {
  return {{"version", version()},
          {"commit", commit()},
          {"llvm", llvm_version()},
          {"cpu", cpu_name()},
          {"isa", to_string(session.isa())},
          {"isa_levels", isa_json()},
          {"threads", session.threads()},
          {"blas", blas_json()},
          {"backend", options.backend},
          {"precision", options.precision},
          {"fusion", options.fusion},
          {"fusions", fusions_json(*options.choices)},
          {"choices", other_choices_json(*options.choices)}};
}

Json tensors_json(const ModelInfo& info) {
  Json tensors = Json::array();
  for (const TensorTotal& total : info.tensors)
    tensors.push_back({{"dtype", to_string(total.dtype)},
                       {"tensors", total.tensors},
                       {"elements", total.elements},
                       {"bytes", total.bytes}});
  return tensors;
}

// What keys and values take: for a token while no ring is full, for one that only global layers still have room for,
// and in all when `context` positions are kept.
Json kv_json(const std::vector<KvCacheShape>& caches, DType dtype, std::int64_t context) {
  std::int64_t each = 0, global = 0, all = 0;
  for (const KvCacheShape& cache : caches) {
    const std::int64_t bytes = 2 * byte_size(dtype, cache.kv_heads * cache.head_dim);
    each += bytes;
    if (cache.window == 0) global += bytes;
    all += bytes * (cache.window == 0 ? context : std::min(cache.window, context));
  }
  return {{"dtype", to_string(dtype)},
          {"bytes_per_token", each},
          {"bytes_per_token_past_windows", global},
          {"context", context},
          {"bytes_at_context", all}};
}

Json settings_json(const ModelInfo& info) {
  Json settings = Json::object();
  for (const auto& [name, value] : info.settings) settings[name] = value;
  return settings;
}

Json model_json(const LanguageModel& model, const CommonOptions& options) {
  const ModelInfo& info = model.info();
  const RunnerOptions runner = options.runner();
  Json kv = kv_json(model.caches(), runner.kv_dtype, runner.context == 0 ? info.context_length : runner.context);
  const std::int64_t weights = weight_memory(info, *parse_precision(options.precision));
  const std::int64_t planned = weights + kv["bytes_at_context"].get<std::int64_t>();
  std::int64_t tensors = 0;
  for (const TensorTotal& total : info.tensors) tensors += total.tensors;
  return {{"path", options.model},
          {"architecture", info.architecture},
          {"name", info.name},
          {"layers", info.layers},
          {"hidden_size", info.hidden_size},
          {"vocab_size", info.vocab_size},
          {"context_length", info.context_length},
          {"settings", settings_json(info)},
          {"parameters", info.parameters},
          {"tensor_count", tensors},
          {"weight_bytes", info.weight_bytes},
          {"bytes_per_token", info.bytes_per_token},
          {"kv", std::move(kv)},
          {"planned_bytes", planned},
          {"tokenizer", model.tokenizer() != nullptr},
          {"tensors", tensors_json(info)}};
}

std::string line(std::string_view label, std::string_view value) { return fmt::format("{:<12} {}\n", label, value); }

std::string text_of(const Json& value) { return value.get<std::string>(); }

std::string host_text(const Json& info) {
  std::string text = line("lazuli", fmt::format("{} (commit {}, LLVM {})", text_of(info["version"]),
                                                text_of(info["commit"]), text_of(info["llvm"])));
  text += line("CPU", text_of(info["cpu"]));
  for (const Json& level : info["isa_levels"]) {
    const std::string name = text_of(level["isa"]);
    const bool usable = level["usable"].get<bool>();
    text += line(name, !usable                        ? "no: " + text_of(level["reason"])
                       : name == text_of(info["isa"]) ? "in use"
                                                      : "usable");
  }
  text += line("threads", fmt::format("{}", info["threads"].get<int>()));
  const Json& blas = info["blas"];
  text += line("BLAS", blas.contains("missing") ? text_of(blas["missing"])
                                                : fmt::format("{} ({}), {}", text_of(blas["config"]),
                                                              text_of(blas["core"]), text_of(blas["library"])));
  text += line("backend", text_of(info["backend"]));
  text += line("precision", text_of(info["precision"]));
  text += line("fusion", text_of(info["fusion"]));
  for (const Json& fusion : info["fusions"])
    text += fmt::format("  {:<22} {} ({})\n", text_of(fusion["name"]), fusion["on"].get<bool>() ? "on" : "off",
                        text_of(fusion["because"]));
  text += "choices\n";
  for (const Json& choice : info["choices"])
    text += fmt::format("  {:<22} {} ({})\n", text_of(choice["name"]), text_of(choice["value"]),
                        text_of(choice["because"]));
  return text;
}

std::string megabytes(const Json& bytes) { return fmt::format("{:.1f} MB", bytes.get<double>() * 1e-6); }

std::string model_text(const Json& model) {
  const auto number = [&](const char* key) { return fmt::format("{}", model[key].get<std::int64_t>()); };
  std::string text =
      "\n" + line("model", text_of(model["name"])) + line("architecture", text_of(model["architecture"]));
  text += line("layers", number("layers")) + line("hidden size", number("hidden_size")) +
          line("vocabulary", number("vocab_size"));
  text += line("context", number("context_length"));
  text += "settings\n";
  for (const auto& [name, value] : model["settings"].items())
    text += fmt::format("  {:<25} {}\n", name, text_of(value));
  text += line("parameters", fmt::format("{:.1f} million", model["parameters"].get<double>() * 1e-6));
  text += line("weights", megabytes(model["weight_bytes"])) +
          line("per token", megabytes(model["bytes_per_token"]) + " read");
  const Json& kv = model["kv"];
  text += line("KV cache", fmt::format("{}, {:.1f} kB a token, {} at {} positions", text_of(kv["dtype"]),
                                       kv["bytes_per_token"].get<double>() * 1e-3, megabytes(kv["bytes_at_context"]),
                                       kv["context"].get<std::int64_t>()));
  text += line("planned", megabytes(model["planned_bytes"]) + " of weights and KV cache");
  text += line("tokenizer", model["tokenizer"].get<bool>() ? "yes" : "none");
  text += line("tensors", number("tensor_count"));
  for (const Json& tensor : model["tensors"])
    text += fmt::format("  {:<8} {:>6} tensors {:>10}\n", text_of(tensor["dtype"]), tensor["tensors"].get<int>(),
                        megabytes(tensor["bytes"]));
  return text;
}

int run(const Options& options) {
  CommonOptions common = take_choices(options.common, nullptr);
  std::unique_ptr<LanguageModel> model;
  if (!common.model.empty()) {
    model = load_with_notes(common.model, common.model_options());
    common = take_choices(options.common, &model->info());
  }
  const std::unique_ptr<Session> session = make_session(common.session());
  Json info = host_json(*session, common);
  if (model) info["model"] = model_json(*model, common);
  if (common.json) {
    print_json(info);
    return success;
  }
  print(host_text(info));
  if (info.contains("model")) print(model_text(info["model"]));
  return success;
}

}  // namespace

Command add_info(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      tool.add_subcommand("info", "show what this host offers, the choices in force, and what a model holds");
  add_common_options(*command, options->common, ModelOption::optional);
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
