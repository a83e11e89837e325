// SPDX-License-Identifier: MIT
// The options that subcommands share, and what they stand for.
#pragma once

#include <lazuli/models/generation/runner.h>
#include <lazuli/models/model_options.h>
#include <lazuli/runtime/session.h>
#include <lazuli/runtime/tuning/choices.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {
struct ModelInfo;
}

namespace CLI {
class App;
}

namespace lazuli::tool {

enum class ModelOption { none, optional, required };

struct CommonOptions {
  bool json = false;
  std::string model;
  int threads = 0;  // 0: the usable cores
  std::string fusion = "all", backend = "cpu", precision = "fast";
  std::string chunk;  // empty: the model's choice
  std::int64_t context = 0;
  std::string kv;  // empty: f16, or f32 in that precision
  std::string altup = "stacked";
  std::int64_t split_bytes = 0;

  Settings stated;                         // of these, what the command line names
  std::shared_ptr<const Choices> choices;  // what filled in the rest; null before take_choices

  SessionOptions session() const;
  RunnerOptions runner() const;
  // As the option of that setting does (settings.h).
  void set(std::string_view setting, const std::string& value);
  ModelOptions model_options() const;
};

// The same with the values in force on this host for this model (null: for any): what was tuned or set in the
// environment takes the place of defaults. Logs why a tuning file is not used. Throws UsageError for values nobody can
// have.
// A graph of a file is no model; `graph_shape` is then what measurements of it are kept by.
CommonOptions take_choices(CommonOptions options, const ModelInfo* model, const std::string& graph_shape = {});

// Null: any model.
SettingScope setting_scope(int cores, const ModelInfo* model);

// "gemma3 18x640 q4_k": what measurements are kept by. The last is the type that most of the weights have.
std::string model_shape(const ModelInfo& info);

void add_common_options(CLI::App& command, CommonOptions& options, ModelOption model);

// "64", "all" or "" as RunnerOptions::chunk. Throws UsageError.
std::int64_t parse_chunk(std::string_view text);

// Exactly one of these; each may be "-" for standard input.
struct PromptOptions {
  std::optional<std::string> text, file, ids;

  // Throws UsageError unless exactly one is given.
  void check() const;
  bool given() const { return text || file || ids; }
  bool has_ids() const { return ids.has_value(); }
  std::string read_text() const;
};

void add_prompt_options(CLI::App& command, PromptOptions& options);

// Ids separated by commas, spaces or newlines. Throws UsageError that names `where` and the first thing that is none.
std::vector<std::int32_t> parse_ids(std::string_view text, std::string_view where);
std::vector<std::int32_t> read_ids_option(const std::string& value);  // a list, or "-"
std::vector<std::int32_t> read_ids_file(const std::string& path);     // a file, or "-"

// The whole file, or standard input for "-". Throws an Error with the system's reason.
std::string read_file(const std::string& path);

}  // namespace lazuli::tool
