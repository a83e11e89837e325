// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/one_of.h>
#include <lazuli/tools/support/options.h>
#include <lazuli/tools/support/thread_bound.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

namespace lazuli::tool {
namespace {

constexpr std::string_view id_separators = ", \t\r\n";
constexpr std::string_view standard_input = "-";

template <class T>
std::optional<T> parse_integer(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What the user typed, short enough for one line and without control characters.
std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 32;
  std::string shown(text.substr(0, longest));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return '"' + shown + (text.size() > longest ? "...\"" : "\"");
}

// Names of --kv; q8 is short for the blocks that hold it.
constexpr std::pair<std::string_view, DType> kv_types[] = {
    {"f16", DType::f16}, {"bf16", DType::bf16}, {"f32", DType::f32}, {"q8", DType::q8_0}};

DType kv_type(std::string_view name) {
  return std::ranges::find(kv_types, name, &std::pair<std::string_view, DType>::first)->second;
}

}  // namespace

SessionOptions CommonOptions::session() const {
  SessionOptions options;
  options.threads = threads;
  options.fusion = fusion;
  options.backend = backend;
  options.precision = *parse_precision(precision);
  options.split_bytes = split_bytes;
  if (choices) options.why_off = [choices = choices](std::string_view fusion) { return choices->why_off(fusion); };
  return options;
}

RunnerOptions CommonOptions::runner() const {
  RunnerOptions options;
  options.chunk = parse_chunk(chunk);
  options.context = context;
  options.kv_dtype = kv_type(!kv.empty() ? kv : precision == "f32" ? "f32" : "f16");
  return options;
}

void CommonOptions::set(std::string_view setting, const std::string& value) {
  if (setting == "threads") threads = std::stoi(bounded_threads(value));
  if (setting == "chunk") chunk = value;
  if (setting == "altup") altup = value;
  if (setting == "split_bytes") split_bytes = std::stoll(value);
  if (setting == fusion_setting) fusion = value;
}

ModelOptions CommonOptions::model_options() const { return {altup == "split" ? AltupForm::split : AltupForm::stacked}; }

void add_common_options(CLI::App& command, CommonOptions& options, ModelOption model) {
  if (model != ModelOption::none) {
    CLI::Option* option =
        command
            .add_option("-m,--model", options.model, "model: a GGUF file, or a folder with config.json and safetensors")
            ->type_name("MODEL");
    if (model == ModelOption::required) option->required();
  }
  const auto add = [&](const char* name, auto& value, const char* help, const char* type) {
    return command.add_option(name, value, help)->type_name(type)->group("Execution");
  };
  command.add_flag("--json", options.json, "print the result as JSON");
  const auto add_setting = [&](std::string_view name, auto& value) {
    const Setting& row = setting(name);
    CLI::Option* option =
        add(row.option().c_str(), value, std::string(row.help).c_str(), std::string(row.value_name).c_str());
    if (row.words.empty() && row.most > 0) option->check(CLI::Range(row.least, row.most));
    if (!row.words.empty() && row.most == 0) option->check(one_of({row.words.begin(), row.words.end()}));
    return option->each(
        [&options, &row](const std::string& text) { options.stated.insert_or_assign(std::string(row.name), text); });
  };
  add_setting("threads", options.threads)->transform(bounded_threads);
  add_setting(fusion_setting, options.fusion)->capture_default_str();
  add("--backend", options.backend, "cpu or reference", "NAME")
      ->capture_default_str()
      ->check(one_of({"cpu", "reference"}));
  add("--precision", options.precision, "fast (int8 matmuls) or f32", "NAME")
      ->capture_default_str()
      ->check(one_of({"fast", "f32"}));
  add_setting("chunk", options.chunk);
  add("--ctx", options.context, "most positions kept (default: the model's)", "N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30));
  add_setting("altup", options.altup)->capture_default_str();
  add_setting("split_bytes", options.split_bytes)->capture_default_str();
  add("--kv", options.kv, "type of the key/value cache: f16, bf16, f32 or q8 (default: f16; f32 with --precision f32)",
      "TYPE")
      ->check(one_of({"f16", "bf16", "f32", "q8"}));
}

std::int64_t parse_chunk(std::string_view text) {
  if (text.empty()) return 0;
  if (text == "all") return RunnerOptions::whole_prompt;
  const Setting& chunk = setting("chunk");
  if (!chunk.allows(text))
    fail_usage("{}: {} is neither a number from {} to {} nor \"all\"", chunk.option(), quoted(text), chunk.least,
               chunk.most);
  return *parse_integer<std::int64_t>(text);
}

void add_prompt_options(CLI::App& command, PromptOptions& options) {
  command.add_option("-p,--prompt", options.text, "the prompt, or - for standard input")->type_name("TEXT");
  command.add_option("-f,--file", options.file, "a file that holds the prompt, or -")->type_name("FILE");
  command.add_option("--ids", options.ids, "token ids, taken as they are: 2,5,7, or -")->type_name("IDS");
}

void PromptOptions::check() const {
  const int given = text.has_value() + file.has_value() + ids.has_value();
  if (given != 1)
    fail_usage("{} given; expected one of -p, -f and --ids", given == 0 ? "no prompt" : "more than one prompt");
}

std::string PromptOptions::read_text() const {
  if (file) return read_file(*file);
  return *text == standard_input ? read_file(*text) : *text;
}

std::vector<std::int32_t> parse_ids(std::string_view text, std::string_view where) {
  std::vector<std::int32_t> ids;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(id_separators), text.size()));
    if (text.empty()) break;
    const std::string_view word = text.substr(0, text.find_first_of(id_separators));
    text.remove_prefix(word.size());
    const auto id = parse_integer<std::int32_t>(word);
    if (!id || *id < 0) fail_usage("{}: {} at place {} is no token id", where, quoted(word), ids.size());
    ids.push_back(*id);
  }
  if (ids.empty()) fail_usage("{}: no token ids given", where);
  return ids;
}

std::vector<std::int32_t> read_ids_option(const std::string& value) {
  return parse_ids(value == standard_input ? read_file(value) : value, "--ids");
}

std::vector<std::int32_t> read_ids_file(const std::string& path) { return parse_ids(read_file(path), path); }

std::string read_file(const std::string& path) {
  const bool from_stdin = path == standard_input;
  const char* name = from_stdin ? "standard input" : path.c_str();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(from_stdin ? stdin : std::fopen(path.c_str(), "rbe"),
                                                             from_stdin ? [](std::FILE*) { return 0; } : std::fclose);
  if (!file) fail("{}: cannot open: {}", name, std::strerror(errno));
  std::string text;
  char buffer[1 << 16];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) text.append(buffer, count);
  if (std::ferror(file.get())) fail("{}: cannot read: {}", name, std::strerror(errno));
  return text;
}

}  // namespace lazuli::tool
