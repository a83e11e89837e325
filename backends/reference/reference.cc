// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/observed_run.h>
#include <lazuli/backends/reference/kernels.h>
#include <lazuli/backends/reference/reference.h>
#include <lazuli/graph/base/floating_point_mode.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/graph/numbers.h>

#include <optional>

namespace lazuli {
namespace reference {
namespace {

// A buffer as the tensor it is meant to hold.
Tensor bind(const Type& type, const BufferRef& buffer, const char* role, std::size_t position) {
  const std::size_t bytes = buffer ? buffer->size() : 0;
  if (!buffer || bytes < static_cast<std::size_t>(type.bytes()))
    throw ExecutionError(
        fmt::format("{} {}: {} bytes given for {}, expected {}", role, position, bytes, to_string(type), type.bytes()));
  return {&type, buffer->data()};
}

void check_count(const char* role, std::size_t given, std::size_t expected) {
  if (given != expected) throw ExecutionError(fmt::format("{} {} given, the program has {}", given, role, expected));
}

class ReferenceProgram final : public Program {
 public:
  explicit ReferenceProgram(const Graph& graph) : graph_(graph) {
    for (ValueId output : graph_.outputs) placements_.push_back({graph_.type(output).bytes(), -1});
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      if (!is_bound(graph_.nodes[i].op)) steps_.push_back(step(static_cast<std::int32_t>(i)));
  }

  std::span<const OutputPlacement> outputs() const override { return placements_; }
  const Graph& scheduled() const override { return graph_; }
  std::span<const ProgramStep> steps() const override { return steps_; }

  void execute(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs, std::span<const double> numbers,
               RunObserver* observer, const RunLimits* limits, std::span<const std::int64_t> sizes) override {
    const DefaultFloatingPointMode mode;
    Graph graph = with_literals(graph_, numbers);
    if (!sizes.empty()) graph = with_sizes(std::move(graph), sizes);
    const std::vector<ValueId> parameters = graph.inputs();
    check_count("inputs", inputs.size(), parameters.size());
    check_count("outputs", outputs.size(), graph.outputs.size());
    std::vector<Tensor> arguments, results;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      arguments.push_back(bind(graph.type(parameters[i]), inputs[i], "input", i));
    for (std::size_t i = 0; i < outputs.size(); ++i)
      results.push_back(bind(graph.type(graph.outputs[i]), outputs[i], "output", i));
    const LimitedRun limited(limits);
    if (!observer && !limits) return interpret(graph, arguments, results, {});
    const ObservedRun observed(observer, /*workers=*/1);
    std::int64_t last = observer ? observer->now_ns(0) : 0;
    std::size_t step = 0;
    if (limits) throw_if_reached(*limits, step);
    interpret(graph, arguments, results, [&] {
      if (observer) {
        const std::int64_t now = observer->now_ns(0);
        observer->on_span(0, {static_cast<int>(step), last, now});
        last = now;
      }
      ++step;
      if (limits) throw_if_reached(*limits, step);
    });
  }

  // Every intermediate value has memory of its own.
  std::int64_t arena_bytes() const override {
    std::int64_t bytes = 0;
    for (const ProgramStep& step : steps_) bytes += result_bytes(graph_.nodes[static_cast<std::size_t>(step.node)]);
    return bytes;
  }

 private:
  static std::int64_t result_bytes(const GraphNode& node) {
    std::int64_t bytes = 0;
    for (const Type& type : node.types) bytes += type.bytes();
    return bytes;
  }

  // Before the step of this number; behind the last there is nothing to end.
  void throw_if_reached(const RunLimits& limits, std::size_t step) const {
    const std::optional<ErrorKind> reached = step < steps_.size() ? limits.reached() : std::nullopt;
    if (!reached) return;
    const GraphNode& node = graph_.nodes[static_cast<std::size_t>(steps_[step].node)];
    const bool cancelled = *reached == ErrorKind::cancelled;
    throw ExecutionError(fmt::format("{}: the run {}{}", node.name(),
                                     cancelled ? "was cancelled" : "is past its deadline", Scope::where(node.scope)),
                         details_of(node, {.kind = *reached}));
  }

  ProgramStep step(std::int32_t index) const {
    const GraphNode& node = graph_.nodes[static_cast<std::size_t>(index)];
    std::int64_t bytes = result_bytes(node);
    for (ValueId input : node.inputs) bytes += graph_.type(input).bytes();
    ProgramStep step{index, fmt::format("reference_{}", node.name()), bytes};
    step.isa = "scalar";
    return step;
  }

  const Graph graph_;
  std::vector<OutputPlacement> placements_;
  std::vector<ProgramStep> steps_;
};

class ReferenceBackend final : public Backend {
 public:
  std::string_view name() const override { return "reference"; }

  bool supports(Op op, const Attrs& attrs, std::span<const Type> operands) const override {
    if (op == Op::input || op == Op::constant || op == Op::fused) return true;  // their types are declared
    try {
      infer_types(op, attrs, operands);
      return true;
    } catch (const InternalError&) {
      throw;
    } catch (const Error&) {
      return false;
    }
  }

  std::unique_ptr<Program> compile(const Graph& graph, std::span<const int>) override {
    return std::make_unique<ReferenceProgram>(graph);
  }
};

}  // namespace
}  // namespace reference

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<reference::ReferenceBackend>(); }

}  // namespace lazuli
