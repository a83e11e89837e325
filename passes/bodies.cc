// SPDX-License-Identifier: MIT
#include <lazuli/graph/bodies.h>
#include <lazuli/passes/bodies.h>
#include <lazuli/passes/common_subexpressions.h>
#include <lazuli/passes/decompose.h>
#include <lazuli/passes/fold_views.h>
#include <lazuli/passes/fuse_loops.h>
#include <lazuli/passes/rules/rules.h>

#include <string_view>
#include <utility>

namespace lazuli {
namespace {

struct BodyPass {
  std::string_view name;  // that of the pass, which switches it
  Graph (*run)(Graph graph, PassContext& context);
};

// In the order of the pipeline.
constexpr BodyPass body_passes[] = {
    {"fold_views", fold_views}, {"common_subexpressions", common_subexpressions}, {"decompose", decompose},
    {"fold_views", fold_views}, {"common_subexpressions", common_subexpressions}, {"fuse_named", fuse_named},
    {"fuse_loops", fuse_loops},
};

// While it lives, verdicts are told of the node whose bodies are rewritten.
class NoteOfNode {
 public:
  NoteOfNode(PassContext& context, std::int32_t id, const GraphNode& node) : context_(context), before_(context.note) {
    if (!before_) return;
    context.note = [note = before_, id, scope = node.scope, from = node.from](Verdict verdict) {
      verdict.node = id;
      verdict.from = from;
      if (!verdict.scope) verdict.scope = scope;
      note(std::move(verdict));
    };
  }
  ~NoteOfNode() { context_.note = before_; }
  NoteOfNode(const NoteOfNode&) = delete;
  NoteOfNode& operator=(const NoteOfNode&) = delete;

 private:
  PassContext& context_;
  std::function<void(Verdict)> before_;
};

}  // namespace

Graph rewrite_bodies(Graph graph, PassContext& context) {
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    GraphNode& node = graph.nodes[id];
    if (!is_control_flow(node.op)) continue;
    const NoteOfNode noted(context, static_cast<std::int32_t>(id), node);
    rewrite_bodies_of(node, [&](Graph body) {
      for (const BodyPass& pass : body_passes)
        if (context.is_enabled(pass.name)) body = pass.run(std::move(body), context);
      return rewrite_bodies(std::move(body), context);
    });
  }
  return graph;
}

}  // namespace lazuli
