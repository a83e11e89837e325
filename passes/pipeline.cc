// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/common_subexpressions.h>
#include <lazuli/passes/decompose.h>
#include <lazuli/passes/fold_constants.h>
#include <lazuli/passes/fold_views.h>
#include <lazuli/passes/fuse_loops.h>
#include <lazuli/passes/pipeline.h>
#include <lazuli/passes/row_demand.h>
#include <lazuli/passes/rules/rules.h>

#include <chrono>

namespace lazuli {
namespace {

const Pass passes[] = {
    {"fold_views", fold_views},                        // reshapes, transposes, broadcasts that say nothing
    {"fold_constants", fold_constants},                // 1 + w, clipped coefficients: once, at load
    {"common_subexpressions", common_subexpressions},  // equal work is done once
    {"row_demand", row_demand},                        // before fusion, while rows are still visible
    {"decompose", decompose},                          // composites the backend lacks
    {"fold_views", fold_views},                        // and what decompose spelled out:
    {"fold_constants", fold_constants},
    {"common_subexpressions", common_subexpressions},
    {"fuse_named", fuse_named},                    // each rule is switched by its own name
    {"fuse_loops", fuse_loops, PassKind::fusing},  // what is left: elementwise ops and row reductions
};

std::string key_if(bool wanted, const Graph& graph) { return wanted ? structural_key(graph) : std::string{}; }

}  // namespace

bool verifies_by_default() {
#ifdef NDEBUG
  return false;
#else
  return true;
#endif
}

std::span<const Pass> default_pipeline() { return passes; }

Graph run_pipeline(Graph graph, std::span<const Pass> to_run, PassContext& context, const PipelineOptions& options) {
  using Clock = std::chrono::steady_clock;
  if (options.verify) verify(graph);
  const bool report = static_cast<bool>(options.after_pass);
  std::string before = key_if(report, graph);
  for (const Pass& pass : to_run) {
    if (!context.is_enabled(pass.name)) {
      if (context.note && pass.kind == PassKind::fusing)
        context.note({std::string(pass.name), false, context.reason_off(pass.name)});
      continue;
    }
    const Clock::time_point start = Clock::now();
    try {
      graph = pass.run(std::move(graph), context);
    } catch (const std::exception& error) {
      throw CompileError(fmt::format("{}: {}", pass.name, error.what()));
    }
    const std::chrono::duration<double, std::micro> elapsed = Clock::now() - start;
    if (options.verify) verify(graph, pass.name);
    if (!report) continue;
    std::string after = structural_key(graph);
    options.after_pass({pass.name, graph, elapsed.count(), after != before});
    before = std::move(after);
  }
  return graph;
}

}  // namespace lazuli
