// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/tools/support/interrupt.h>
#include <lazuli/tools/tune/graph_workload.h>
#include <lazuli/tools/tune/tune_choices.h>

#include <utility>

namespace lazuli::tool {
namespace {

class GraphContender {
 public:
  GraphContender(const GraphFile& file, const CommonOptions& options)
      : session_(make_detached_session(options, /*disk_cache=*/true)) {
    const UseSession use(*session_);
    calls_.emplace(file);
    const auto compiled = std::static_pointer_cast<const CompiledGraph>(file.function().executable(file.arguments()));
    identity_ = identity_of(*compiled, session_->threads());
    calls_->call();
  }
  ~GraphContender() {
    const UseSession use(*session_);
    session_->synchronize();
  }
  GraphContender(const GraphContender&) = delete;
  GraphContender& operator=(const GraphContender&) = delete;

  const std::string& identity() const { return identity_; }

  void run(int calls) {
    const UseSession use(*session_);
    for (int i = 0; i < calls; ++i) {
      check_interrupt();
      calls_->call();
    }
  }
  int calls_of_a_sample() {
    const UseSession use(*session_);
    return calls_->count_for_sample();
  }

 private:
  std::unique_ptr<Session> session_;  // outlives the arrays of the calls
  std::optional<GraphCalls> calls_;
  std::string identity_;
};

}  // namespace

GraphWorkload::GraphWorkload(CommonOptions options, const GraphFile& file)
    : options_(std::move(options)), file_(file) {}

std::vector<TunableChoice> GraphWorkload::choices() const {
  return tunable_choices(options_, setting_scope(usable_cores(), nullptr), /*of_models=*/false);
}

std::shared_ptr<const Contender> GraphWorkload::prepare(const Settings& settings) {
  check_interrupt();
  const auto contender = std::make_shared<GraphContender>(file_, with_settings(options_, settings));
  if (calls_ == 0) calls_ = contender->calls_of_a_sample();
  return std::make_shared<const Contender>(
      Contender{{{"run", contender->identity(), [contender, calls = calls_] { contender->run(calls); }}}});
}

}  // namespace lazuli::tool
