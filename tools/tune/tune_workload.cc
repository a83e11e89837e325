// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/load.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/tune/tune_choices.h>
#include <lazuli/tools/tune/tune_workload.h>

#include <algorithm>

namespace lazuli::tool {
namespace {

std::string step_identity(const Runner::Step& step, int threads) {
  return identity_of(*std::static_pointer_cast<const CompiledGraph>(step.function.executable(step.arguments)), threads);
}

class ModelContender {
 public:
  ModelContender(const LanguageModel& model, const CommonOptions& options, const TuneWork& work)
      : work_(work),
        session_(make_detached_session(options, work.disk_cache)),
        prompt_(model, options.runner()),
        decode_(model, options.runner()),
        ids_(static_cast<std::size_t>(std::max(work.prompt, work.depth)), 2) {
    const UseSession use(*session_);
    prompt_identity_ =
        fmt::format("rows {}\n", prompt_.chunk_for(work.prompt)) +
        step_identity(prompt_.prefill_step(std::min(work.prompt, prompt_.chunk_for(work.prompt))), session_->threads());
    decode_identity_ = step_identity(decode_.decode_step(), session_->threads());
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
  return tunable_choices(options_, scope, /*of_models=*/true);
}

std::shared_ptr<const Contender> TuneWorkload::prepare(const Settings& settings) {
  check_interrupt();
  const CommonOptions options = with_settings(options_, settings);
  const auto contender = std::make_shared<ModelContender>(model(options.altup), options, work_);
  return std::make_shared<const Contender>(
      Contender{{{"prompt", contender->prompt_identity(), [contender] { contender->run_prompt(); }},
                 {"decode", contender->decode_identity(), [contender] { contender->run_decode(); }}}});
}

}  // namespace lazuli::tool
