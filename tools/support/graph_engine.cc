// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/tools/support/engine.h>
#include <lazuli/tools/support/graph_engine.h>

namespace lazuli::tool {

GraphEngine::GraphEngine(const CommonOptions& options, const GraphOptions& graph,
                         std::function<void(Verdict)> on_verdict)
    : options_(take_choices(options, nullptr)) {
  make_session(options_.session());  // a bad choice shows before the file is read
  file_ = std::make_unique<GraphFile>(graph);
  options_ = take_choices(options, nullptr, file_->shape());
  SessionOptions session = options_.session();
  session.on_verdict = std::move(on_verdict);
  session_ = make_session(std::move(session));
}

std::shared_ptr<const CompiledGraph> GraphEngine::compiled() {
  return std::static_pointer_cast<const CompiledGraph>(file_->function().executable(file_->arguments()));
}

Profile GraphEngine::profile(ProfileOptions options) {
  if (session_->options().backend != "cpu")
    fail("profile: the {} backend does not time its steps; expected cpu", session_->options().backend);
  GraphCalls calls(*file_);
  calls.call();  // weights are laid out
  options.labels.emplace_back("graph", file_->name());
  return lazuli::profile(*session_, [&] { calls.call(); }, options);
}

}  // namespace lazuli::tool
