// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/fork.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/graph/verify.h>
#include <lazuli/runtime/engine.h>
#include <lazuli/runtime/session.h>

#include <optional>
#include <utility>

namespace lazuli {

Session::Session(SessionOptions options)
    : engine_(std::make_shared<Engine>(std::move(options))), current_(std::in_place, engine_) {}

Session::Session(Session&&) noexcept = default;

Session& Session::operator=(Session&& other) noexcept {
  if (this != &other) {
    close();
    engine_ = std::move(other.engine_);
    current_ = std::move(other.current_);
  }
  return *this;
}

Session::~Session() { close(); }

// What was submitted is through when the session is gone, as the caller's executor and callbacks may go next. Calls of
// other threads that are still inside keep the engine until they return.
void Session::close() noexcept {
  current_.reset();
  if (engine_ && !engine_->of_parent_process()) engine_->synchronize();
  engine_.reset();
}

Engine& Session::engine_here() const {
  if (!engine_) fail("the session was moved to another one");
  return *engine_;
}

Engine& Session::engine() const {
  Engine& engine = engine_here();
  if (engine.of_parent_process()) fail_after_fork("session: made");
  return engine;
}

std::shared_ptr<Evaluator> Session::evaluator() const {
  engine();
  return engine_;
}

namespace {

[[noreturn]] void fail_array(const Graph& graph, ValueId input, std::size_t index, const Type& given) {
  const GraphNode& node = graph.node(input);
  const Type& expected = node.type();
  ErrorDetails details{.kind = given.dtype != expected.dtype ? ErrorKind::dtype : ErrorKind::shape,
                       .op = "run",
                       .node = input.node,
                       .scope = node.scope ? *node.scope : std::string(),
                       .source = source_of(node.built_at),
                       .expected = to_string(expected),
                       .found = to_string(given)};
  fail(std::move(details), "run: array {} is {}, expected {}", index, to_string(given), to_string(expected));
}

// The sizes of a graph's named axes in a run on these arrays.
struct RunSizes {
  RunSizes(const Graph& graph, const std::vector<ValueId>& inputs, std::span<const Array> arrays)
      : dimensions(dimensions_of(graph)) {
    std::vector<const Type*> declared;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      declared.push_back(inputs[i].node < 0 ? nullptr : &graph.type(inputs[i]));
      brought.push_back(declared[i] ? size_brought(*declared[i], arrays[i].type()) : -1);
    }
    sizes = sizes_of_run(dimensions, declared, brought, "run");
  }

  Type of(const Type& type) const {
    return type.named ? at_size(type, sizes[static_cast<std::size_t>(dimension_of(type, dimensions))]) : type;
  }

  std::vector<NamedSize> dimensions;
  std::vector<std::int64_t> brought, sizes;  // by array; by dimension
};

}  // namespace

void Session::eval(std::span<const Array> arrays, const RunLimits& limits) {
  const UseSession use(*this);
  std::optional<LimitRuns> limited;
  if (limits.any()) limited.emplace(limits);
  lazuli::eval(arrays);
}

void Session::async_eval(std::span<const Array> arrays, Stream stream) {
  const UseSession use(*this);
  lazuli::async_eval(arrays, stream);
}

std::vector<Array> Session::call(const CompiledFunction& function, std::vector<Array> arguments, Stream stream,
                                 const RunLimits& limits) {
  const UseSession use(*this);
  std::optional<LimitRuns> limited;
  if (limits.any()) limited.emplace(limits);
  return function(std::move(arguments), stream);
}

std::vector<Array> Session::run(const Graph& graph, std::span<const Array> arrays, Stream stream,
                                const RunLimits& limits) {
  std::optional<LimitRuns> limited;
  if (limits.any()) limited.emplace(limits);
  const std::vector<ValueId> inputs = graph.inputs();
  if (arrays.size() != inputs.size())
    fail(ErrorDetails{.op = "run",
                      .expected = fmt::format("{} arrays", inputs.size()),
                      .found = fmt::format("{} arrays", arrays.size())},
         "run: {} arrays given, expected {}", arrays.size(), inputs.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (!arrays[i].defined()) fail("run: array {} is empty", i);
    if (inputs[i].node >= 0 && !accepts(graph.type(inputs[i]), arrays[i].type()))
      fail_array(graph, inputs[i], i, arrays[i].type());
  }
  const RunSizes sizes(graph, inputs, arrays);
  async_eval(arrays, stream);
  std::vector<Operand> operands;
  for (const Array& array : arrays) operands.push_back({array.result(), false});
  for (std::size_t i = 0; i < operands.size(); ++i) operands[i].size = sizes.brought[i];
  std::vector<Result> results = run(prepare(graph), std::move(operands), numbers_of(graph), stream.index, false);
  std::vector<Array> outputs;
  for (std::size_t i = 0; i < results.size(); ++i)
    outputs.push_back(evaluated_input(
        std::make_shared<const std::vector<Type>>(1, sizes.of(graph.type(graph.outputs[i]))), std::move(results[i])));
  return outputs;
}

std::shared_ptr<Executable> Session::prepare(const Graph& graph, std::span<const int> donated) {
  verify(graph);
  return engine().prepare(graph, donated);
}

std::vector<Result> Session::run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                                 NumbersRef numbers, int stream, bool wait) {
  return engine().run(executable, std::move(operands), std::move(numbers), stream, wait);
}

Graph Session::plan(std::span<const Array> arrays) { return engine().plan(arrays); }
Graph Session::optimised(std::span<const Array> arrays) { return engine().optimised(arrays); }
Graph Session::optimised(const Graph& built) {
  verify(built);
  return engine().optimised(built);
}
void Session::clear() { engine().clear(); }
MemoryNeeds Session::memory_needs(std::span<const Array> arrays) { return engine().memory_needs(arrays); }
void Session::synchronize() {
  if (!engine_here().of_parent_process()) engine().synchronize();
}
const SessionOptions& Session::options() const { return engine_here().options(); }
int Session::threads() const { return engine_here().threads(); }
Isa Session::isa() const { return engine_here().isa(); }
SessionStatistics Session::statistics() const { return engine().statistics(); }
std::vector<ProgramStatistics> Session::programs() const { return engine().programs(); }

std::shared_ptr<RunObserver> Session::observe(const std::shared_ptr<Executable>& executable,
                                              std::shared_ptr<RunObserver> observer) {
  return engine().observe(executable, std::move(observer));
}

}  // namespace lazuli
