// SPDX-License-Identifier: MIT
// lazuli generate: text or ids that continue a prompt.
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/process_memory.h>
#include <lazuli/graph/files/output_file.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/models/text/chat_template.h>
#include <lazuli/models/text/tokenizer.h>
#include <lazuli/tools/commands.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/support/memory.h>
#include <lazuli/tools/support/output.h>
#include <lazuli/tools/support/preparation_timer.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

namespace lazuli::tool {
namespace {

struct Options {
  CommonOptions common;
  PromptOptions prompt;
  GenerateOptions generate;
  bool chat = false;
  std::string save_cache, load_cache;
};

// The user's turn, as the whole of a conversation or behind the one that was loaded.
ChatText render_turn(const Engine& engine, ChatFormat format, const std::string& text, bool continues) {
  const ChatOptions options{.empty_thought = engine.model().info().empty_thought};
  if (continues) return render_next_turn(format, text, options);
  const ChatMessage message{ChatRole::user, text};
  return render_chat(format, {&message, 1}, options);
}

std::vector<std::int32_t> encode_prompt(const Engine& engine, const Options& options) {
  const PromptOptions& prompt = options.prompt;
  const bool continues = !options.load_cache.empty();
  if (continues && !prompt.given()) return {};
  if (!options.chat) return engine.encode(prompt, {.add_bos = !continues});
  if (prompt.has_ids()) fail_usage("--chat: expected a prompt of text, not --ids");
  const Tokenizer& tokenizer = engine.tokenizer();
  const std::optional<ChatFormat> format = chat_format(tokenizer);
  if (!format) fail_usage("--chat: the model's vocabulary has no turn markers");
  const std::string text = prompt.read_text();
  if (text.empty()) fail_usage("the prompt is empty; expected text");
  return tokenizer.encode(render_turn(engine, *format, text, continues));
}

// Tokens a second; 0 where there were none.
double rate(std::size_t tokens, double seconds) {
  return tokens == 0 || seconds <= 0 ? 0 : static_cast<double>(tokens) / seconds;
}

struct Report {
  std::int64_t loaded = 0;  // positions that came out of --load-cache
  std::vector<std::int32_t> prompt;
  GenerateResult result;
  double prepare_seconds = 0, prompt_seconds = 0, decode_seconds = 0;
  MemoryReport memory;

  double prompt_rate() const { return rate(prompt.size(), prompt_seconds); }
  // The first token comes out of the prompt's last row.
  double decode_rate() const { return rate(std::max<std::size_t>(result.ids.size(), 1) - 1, decode_seconds); }
};

Json to_json(const Report& report) {
  return {{"prompt_ids", report.prompt},
          {"ids", report.result.ids},
          {"text", report.result.text},
          {"prompt_tps", report.prompt_rate()},
          {"decode_tps", report.decode_rate()},
          {"stop", to_string(report.result.stop)},
          {"prepare_seconds", report.prepare_seconds},
          {"loaded", report.loaded},
          {"peak_bytes", report.memory.peak},
          {"file_bytes", report.memory.file},
          {"kv_bytes", report.memory.kv},
          {"arena_bytes", report.memory.arena}};
}

std::string summary(const Report& report) {
  return fmt::format(
      "prompt {} tokens, {:.1f} tokens/s; generated {} tokens, {:.1f} tokens/s; prepared in {:.2f} s; stopped: {}",
      report.prompt.size(), report.prompt_rate(), report.result.ids.size(), report.decode_rate(),
      report.prepare_seconds, to_string(report.result.stop));
}

Report run_model(Engine& engine, const Options& options, OutputFile* save) {
  const std::shared_ptr<const Tokenizer> tokenizer = engine.model().tokenizer();
  PreparationTimer timer(engine.session());
  Conversation conversation(engine.model(), engine.options().runner());
  GenerateOptions generation = options.generate;
  double prepared_before_first = 0;
  bool first = true;
  generation.cancel = &watch_interrupt();
  generation.on_prefill = [&](std::int64_t done, std::int64_t total) {
    engine.show_prompt(done, total);
    return true;
  };
  generation.on_token = [&](std::int32_t id, const std::string& text) {
    if (first) {
      prepared_before_first = timer.seconds();
      engine.end_progress();
    }
    if (!options.common.json) print_now(tokenizer ? text : fmt::format("{}{}", first ? "" : " ", id));
    first = false;
    return true;
  };
  if (!options.common.json) generation.on_rest = [](const std::string& text) { print_now(text); };
  Report report;
  report.prompt = encode_prompt(engine, options);
  if (!options.load_cache.empty()) conversation.load(options.load_cache);
  report.loaded = conversation.computed();
  conversation.append(report.prompt);
  report.result = conversation.generate(generation);
  if (report.result.stop == StopReason::cancelled) end_by_itself();
  engine.end_progress();
  if (save != nullptr) conversation.save(*save);
  if (first) prepared_before_first = timer.seconds();
  report.prepare_seconds = timer.seconds();
  report.memory = {peak_resident_memory(), engine.model().info().file_bytes, conversation.cache_bytes(),
                   engine.session().statistics().arena_bytes};
  report.prompt_seconds = report.result.prompt_seconds - prepared_before_first;
  report.decode_seconds = report.result.decode_seconds - (timer.seconds() - prepared_before_first);
  return report;
}

int run(const Options& options) {
  if (options.load_cache.empty() || options.prompt.given()) options.prompt.check();
  Sampler check_sampler_options(options.generate.sampler);
  std::optional<OutputFile> save;
  if (!options.save_cache.empty()) save.emplace(options.save_cache);
  Engine engine(options.common);
  const Report report = run_model(engine, options, save ? &*save : nullptr);
  if (options.common.json) {
    print_json(to_json(report));
  } else {
    print_now("\n");
    log(summary(report));
    log(to_string(report.memory));
  }
  return report.result.stop == StopReason::cancelled ? interrupted_status() : success;
}

}  // namespace

Command add_generate(CLI::App& tool) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = tool.add_subcommand("generate", "continue a prompt");
  add_common_options(*command, options->common, ModelOption::required);
  add_prompt_options(*command, options->prompt);
  SamplerOptions& sampler = options->generate.sampler;
  command->add_option("-n,--tokens", options->generate.max_tokens, "tokens to generate at most")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
  command->add_flag("--chat", options->chat, "wrap the prompt into the model's chat template");
  command->add_flag("--ignore-eos", options->generate.ignore_eos, "go on past end tokens");
  command->add_option("--stop", options->generate.stop, "end at this text; may be given several times")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  const auto add_file = [&](const char* name, std::string& value, const char* help) {
    command->add_option(name, value, help)->type_name("FILE")->group("Caches");
  };
  add_file("--save-cache", options->save_cache,
           "write the text and its key/value caches when the generation has ended");
  add_file("--load-cache", options->load_cache,
           "go on behind the text of this file, with the prompt if one is given; same model and --kv");
  const auto add = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->capture_default_str()->group("Sampling");
  };
  add("--temp", sampler.temperature, "temperature; 0 takes the likeliest token");
  add("--top-k", sampler.top_k, "keep the k likeliest; 0 keeps all");
  add("--top-p", sampler.top_p, "keep the smallest set with this probability");
  add("--min-p", sampler.min_p, "keep what has this share of the largest probability");
  add("--repeat-penalty", sampler.repeat_penalty, "make recent tokens less likely; 1 is off");
  add("--seed", sampler.seed, "seed of the random numbers");
  return {command, [options] { return run(*options); }};
}

}  // namespace lazuli::tool
