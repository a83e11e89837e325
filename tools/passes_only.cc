#include <lazuli/backends/cpu/cpu_backend.h>
#include <lazuli/backends/cpu/threads.h>
#include <lazuli/backends/reference/reference.h>
#include <lazuli/passes/fold_constants.h>
#include <lazuli/tools/passes_only.h>

#include <memory>

namespace lazuli::tool {
namespace {

std::vector<BufferRef> evaluate(Backend& backend, const Graph& constants) {
  const std::unique_ptr<Program> program = backend.compile(constants, {});
  std::vector<BufferRef> results;
  for (const OutputPlacement& output : program->outputs())
    results.push_back(Buffer::allocate(static_cast<std::size_t>(output.bytes)));
  program->execute({}, results);
  return results;
}

}  // namespace

Graph run_passes(const Graph& built, const SessionOptions& options) {
  ThreadPool threads(1);
  std::unique_ptr<Backend> backend = make_reference_backend();
  if (options.backend == "cpu")
    backend = std::make_unique<CpuBackend>(threads, CpuBackendOptions{options.precision, selected_isa(), {}});
  const FusionChoice fusion = FusionChoice::parse(options.fusion);
  PassContext context;
  context.supports = [&](Op op, const Attrs& attrs, std::span<const Type> operands) {
    return backend->supports(op, attrs, operands);
  };
  context.evaluate = [&](const Graph& constants) { return evaluate(*backend, constants); };
  context.enabled = [&](std::string_view name) { return fusion.enabled(name); };
  context.folded = std::make_shared<FoldCache>();
  return run_pipeline(built, context);
}

}  // namespace lazuli::tool
