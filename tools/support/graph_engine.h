// SPDX-License-Identifier: MIT
// A session with the graph of a file in it, as Engine is one with a model.
#pragma once

#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tools/support/graph_file.h>
#include <lazuli/tools/support/options.h>

#include <functional>
#include <memory>

namespace lazuli::tool {

class GraphEngine {
 public:
  // What is wrong with the options shows before the file is read, and has a UsageError.
  GraphEngine(const CommonOptions& options, const GraphOptions& graph, std::function<void(Verdict)> on_verdict = {});
  GraphEngine(const GraphEngine&) = delete;
  GraphEngine& operator=(const GraphEngine&) = delete;

  Session& session() { return *session_; }
  const GraphFile& file() const { return *file_; }
  // As they are in force here, for this graph.
  const CommonOptions& options() const { return options_; }

  std::shared_ptr<const CompiledGraph> compiled();
  // Of a warm call. Only the cpu backend times its steps.
  Profile profile(ProfileOptions options = {});

 private:
  CommonOptions options_;
  std::unique_ptr<Session> session_;  // outlives the arrays of the file
  std::unique_ptr<GraphFile> file_;
};

}  // namespace lazuli::tool
