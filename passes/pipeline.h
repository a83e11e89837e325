// SPDX-License-Identifier: MIT
// The order of passes, and the runner that names, times, verifies and shows each of them.
#pragma once

#include <lazuli/passes/fusion_choice.h>
#include <lazuli/passes/pass.h>
#include <lazuli/passes/pass_report.h>

#include <functional>
#include <span>
#include <vector>

namespace lazuli {

// True in libraries built without NDEBUG.
bool verifies_by_default();

struct PipelineOptions {
  bool verify = verifies_by_default();  // check the graph's invariants before the first pass and after each
  std::function<void(const PassReport&)> after_pass;  // also tells of passes that changed nothing; not of disabled ones
};

std::span<const Pass> default_pipeline();
// With the caller's own between what simplifies the graph and what fuses.
std::vector<Pass> pipeline_with(std::span<const Pass> own);

// Runs the passes that `context.enabled` lets through. A failure inside a pass, and a graph that does not verify, is a
// CompileError that names the pass.
Graph run_pipeline(Graph graph, std::span<const Pass> passes, PassContext& context,
                   const PipelineOptions& options = {});
inline Graph run_pipeline(Graph graph, PassContext& context, const PipelineOptions& options = {}) {
  return run_pipeline(std::move(graph), default_pipeline(), context, options);
}

}  // namespace lazuli
