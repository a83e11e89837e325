// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/graph/ops.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/models/load.h>
#include <lazuli/passes/rules/rules.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/tune/tune_workload.h>

#include <algorithm>
#include <future>

namespace lazuli::tool {
namespace {

// Of what a step runs: kernels, their order, where threads meet, the shapes they work on.
std::string identity_of(const Runner::Step& step, int threads) {
  const auto compiled = std::static_pointer_cast<const CompiledGraph>(step.function.executable(step.arguments));
  std::string identity = fmt::format("{} threads\n{}", threads, structural_key(compiled->program->scheduled()));
  for (const ProgramStep& launch : compiled->program->steps())
    identity += fmt::format("{} {} {}\n", launch.kernel, launch.split, launch.barrier);
  return identity;
}

// A session is the evaluator of the thread that makes it until it goes, and such sessions have to go in the reverse
// order of their coming. Contenders go in any order: each makes its session on a thread that ends.
std::unique_ptr<Session> make_detached_session(const CommonOptions& options, const TuneWork& work) {
  SessionOptions session = options.session();
  session.disk_cache = work.disk_cache;
  return std::async(std::launch::async, [&] { return make_session(std::move(session)); }).get();
}

class ModelContender {
 public:
  ModelContender(const LanguageModel& model, const CommonOptions& options, const TuneWork& work)
      : work_(work),
        session_(make_detached_session(options, work)),
        prompt_(model, options.runner()),
        decode_(model, options.runner()),
        ids_(static_cast<std::size_t>(std::max(work.prompt, work.depth)), 2) {
    const UseSession use(*session_);
    prompt_identity_ =
        fmt::format("rows {}\n", prompt_.chunk_for(work.prompt)) +
        identity_of(prompt_.prefill_step(std::min(work.prompt, prompt_.chunk_for(work.prompt))), session_->threads());
    decode_identity_ = identity_of(decode_.decode_step(), session_->threads());
    token_ = argmax(decode_.prefill(std::span(ids_).first(static_cast<std::size_t>(work.depth))));
    token_.item<std::int32_t>();
  }
  // Runs in flight use the evaluator of whoever waits for them.
  ~ModelContender() {
    const UseSession use(*session_);
    session_->synchronize();
  }

  const std::string& prompt_identity() const { return prompt_identity_; }
  const std::string& decode_identity() const { return decode_identity_; }

  void run_prompt() {
    check_interrupt();
    const UseSession use(*session_);
    prompt_.truncate(0);
    wait(prompt_.prefill(std::span(ids_).first(static_cast<std::size_t>(work_.prompt))));
  }

  // As a generation does it: the next step is submitted before the token of this one is looked at.
  void run_decode() {
    check_interrupt();
    const UseSession use(*session_);
    decode_.truncate(work_.depth);
    Array token = token_;
    for (std::int64_t i = 0; i < work_.decode; ++i) {
      const Array next = decode_.decode_greedy(token);
      token.item<std::int32_t>();
      token = next;
    }
    token.item<std::int32_t>();
  }

 private:
  TuneWork work_;
  std::unique_ptr<Session> session_;  // outlives the arrays of the runners
  Runner prompt_, decode_;
  std::vector<std::int32_t> ids_;
  Array token_;
  std::string prompt_identity_, decode_identity_;
};

std::vector<std::string> present_first(std::string present, const std::vector<std::string>& others) {
  std::vector<std::string> values{std::move(present)};
  for (const std::string& value : others)
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  return values;
}

}  // namespace

TuneWorkload::TuneWorkload(CommonOptions options, TuneWork work) : options_(std::move(options)), work_(work) {}

const LanguageModel& TuneWorkload::model(const std::string& altup) {
  std::unique_ptr<LanguageModel>& model = models_[altup];
  if (!model) {
    CommonOptions options = options_;
    options.altup = altup;
    model = load_model(options.model, options.model_options());
  }
  return *model;
}

std::vector<TunableChoice> TuneWorkload::choices() {
  SettingScope scope = setting_scope(usable_cores(), &info());
  scope.prompt = work_.prompt;
  std::vector<TunableChoice> choices;
  const auto add_fusions = [&] {
    for (const Rule& rule : named_rules()) choices.push_back({rule.name, {"on", "off"}});
    choices.push_back({"fuse_loops", {"on", "off"}});
    for (const std::string_view fusion : backend_fusions) choices.push_back({std::string(fusion), {"on", "off"}});
  };
  for (const Setting& setting : settings()) {
    if (setting.name == fusion_setting) {
      if (!options_.stated.contains(fusion_setting)) add_fusions();
    } else if (const std::string built_in = setting.built_in(scope); !built_in.empty()) {
      choices.push_back({std::string(setting.name), present_first(built_in, setting.measured(scope))});
    }
  }
  std::erase_if(choices, [&](const TunableChoice& choice) { return options_.stated.contains(choice.name); });
  return choices;
}

CommonOptions TuneWorkload::with(const Settings& settings) const {
  CommonOptions options = options_;
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

std::shared_ptr<const Contender> TuneWorkload::prepare(const Settings& settings) {
  check_interrupt();
  const CommonOptions options = with(settings);
  const auto contender = std::make_shared<ModelContender>(model(options.altup), options, work_);
  return std::make_shared<const Contender>(
      Contender{{{"prompt", contender->prompt_identity(), [contender] { contender->run_prompt(); }},
                 {"decode", contender->decode_identity(), [contender] { contender->run_decode(); }}}});
}

}  // namespace lazuli::tool
