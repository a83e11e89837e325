// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/floating_point_mode.h>
#include <lazuli/graph/verify.h>
#include <lazuli/passes/bodies.h>
#include <lazuli/passes/common_subexpressions.h>
#include <lazuli/passes/decompose.h>
#include <lazuli/passes/fold_constants.h>
#include <lazuli/passes/fold_views.h>
#include <lazuli/passes/fuse_loops.h>
#include <lazuli/passes/pipeline.h>
#include <lazuli/passes/row_demand.h>
#include <lazuli/passes/rules/rules.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace lazuli {
namespace {

std::vector<Pass> make_passes() {
  return {
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
      {"bodies", rewrite_bodies},                    // the same inside control flow, whose nodes are opaque above
  };
}

std::string key_if(bool wanted, const Graph& graph) { return wanted ? structural_key(graph) : std::string{}; }

}  // namespace

bool verifies_by_default() {
#ifdef NDEBUG
  return false;
#else
  return true;
#endif
}

std::span<const Pass> default_pipeline() {
  static const std::vector<Pass> passes = make_passes();
  return passes;
}

std::vector<Pass> pipeline_with(std::span<const Pass> own) {
  std::vector<Pass> passes(default_pipeline().begin(), default_pipeline().end());
  const auto fusions =
      std::find_if(passes.begin(), passes.end(), [](const Pass& pass) { return pass.name == "fuse_named"; });
  for (auto pass = passes.insert(fusions, own.begin(), own.end()), end = pass + static_cast<std::ptrdiff_t>(own.size());
       pass != end; ++pass)
    pass->foreign = true;
  return passes;
}

Graph run_pipeline(Graph graph, std::span<const Pass> to_run, PassContext& context, const PipelineOptions& options) {
  using Clock = std::chrono::steady_clock;
  const DefaultFloatingPointMode mode;
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
    } catch (const Error& error) {
      ErrorDetails details = error.details();
      if (details.kind <= ErrorKind::execution) details.kind = ErrorKind::compile;
      if (details.pass.empty()) details.pass = pass.name;
      throw CompileError(fmt::format("{}: {}", pass.name, error.what()), std::move(details));
    } catch (const std::exception& error) {
      throw CompileError(fmt::format("{}: {}", pass.name, error.what()),
                         {.kind = ErrorKind::compile, .pass = std::string(pass.name)});
    }
    const std::chrono::duration<double, std::micro> elapsed = Clock::now() - start;
    const bool runs_own_rules = (pass.name == "fuse_named" || pass.name == "bodies") && context.own_rules != nullptr;
    const bool made_by_caller = pass.foreign || runs_own_rules;
    if (options.verify || made_by_caller) verify(graph, pass.name);
    if (!report) continue;
    std::string after = structural_key(graph);
    options.after_pass({pass.name, graph, elapsed.count(), after != before});
    before = std::move(after);
  }
  return graph;
}

}  // namespace lazuli
