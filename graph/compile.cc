// SPDX-License-Identifier: MIT
// compile(): a function is traced once per signature; later calls find the program and hand it over. A decode step
// calls with dozens of caches, whose handles have left the processor's caches since the last one, so a call looks at
// the node of each argument and at nothing behind it, and neither makes nor frees anything for a state that goes round.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/inline_graph.h>
#include <lazuli/graph/order_behind_readers.h>
#include <lazuli/graph/verify.h>

#include <algorithm>
#include <mutex>

namespace lazuli {
namespace {

struct ArgumentType {
  TypesRef types;
  std::size_t output;  // of them, the argument's

  const Type& get() const { return (*types)[output]; }
};

ArgumentType type_of(const Array& array) { return {array.node()->types, static_cast<std::size_t>(array.output())}; }

// Nobody but the holder of this array can see its node, which is a value and nothing else.
bool can_hold_another_value(const Array& array) {
  return array.node().use_count() == 1 && array.node()->op == Op::input && array.node()->results().size() == 1;
}

// The caller gave the last handle: nobody else can read the value.
bool is_given_up(const Array& argument) {
  if (argument.node().use_count() != 1) return false;
  order_behind_readers(argument.node());
  return true;
}

thread_local int traces = 0;  // that are going on on this thread

struct Tracing {
  Tracing() { ++traces; }
  ~Tracing() { --traces; }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
};

}  // namespace

// What was traced for arguments of certain types. Nothing changes once it is made, but for what State::mutex guards.
struct CompiledFunction::Signature {
  std::vector<ArgumentType> arguments;  // guarded
  std::vector<int> donated;             // arguments, ascending
  Graph graph;
  NumbersRef numbers;  // as they were when it was traced
  std::vector<TypesRef> results;
  // For each result, the donated argument of its type whose handle it may take over, or -1.
  std::vector<int> handles;
  struct Prepared {
    std::uint64_t evaluator;  // Evaluator::id
    std::shared_ptr<Executable> executable;
  };
  std::vector<Prepared> prepared;  // guarded; the one that was used last is the first

  bool matches(const std::vector<Array>& given) {
    if (given.size() != arguments.size()) return false;
    for (std::size_t i = 0; i < given.size(); ++i) {
      const ArgumentType& known = arguments[i];
      if (given[i].node()->types == known.types && static_cast<std::size_t>(given[i].output()) == known.output)
        continue;
      if (given[i].type() != known.get()) return false;
      arguments[i] = type_of(given[i]);  // likely to come again
    }
    return true;
  }
};

struct CompiledFunction::State {
  // Evaluators of which a signature keeps its program, so that a few threads with a session each do not take turns in
  // preparing it, and sessions that ended do not pile up.
  static constexpr std::size_t max_prepared = 8;

  ArrayFunction function;
  CompileOptions options;
  bool is_graph = false;                               // there is one signature and nothing to trace
  std::mutex mutex;                                    // held while signatures are looked up
  std::recursive_mutex tracing;                        // held while `function` runs, which may call what it is part of
  std::vector<std::shared_ptr<Signature>> signatures;  // the one that was used last is the first

  std::shared_ptr<Signature> find(const std::vector<Array>& arguments) {
    const std::lock_guard lock(mutex);
    const auto found = std::find_if(signatures.begin(), signatures.end(),
                                    [&](const auto& signature) { return signature->matches(arguments); });
    if (found == signatures.end()) return nullptr;
    std::rotate(signatures.begin(), found, found + 1);
    return signatures.front();
  }

  std::shared_ptr<Signature> find_or_trace(const std::vector<Array>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i)
      if (!arguments[i].defined()) fail("compile: argument {} is an empty array", i);
    if (std::shared_ptr<Signature> known = find(arguments)) return known;
    if (is_graph) fail_types(arguments);
    const std::lock_guard lock(tracing);
    if (std::shared_ptr<Signature> known = find(arguments)) return known;  // another thread traced it meanwhile
    std::shared_ptr<Signature> traced = trace(arguments);
    const std::lock_guard insertion(mutex);
    signatures.insert(signatures.begin(), traced);
    return traced;
  }

  // Of arguments that do not match the one signature.
  [[noreturn]] void fail_types(const std::vector<Array>& arguments) const {
    const Graph& graph = signatures.front()->graph;
    check_arguments(graph, arguments);
    fail_internal("compile: arguments of the right types were refused");
  }

  std::shared_ptr<Signature> trace(const std::vector<Array>& arguments) const {
    auto signature = std::make_shared<Signature>();
    signature->donated = donated_of(arguments.size());
    std::vector<Array> placeholders;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      signature->arguments.push_back(type_of(arguments[i]));
      placeholders.push_back(placeholder(arguments[i].type(), name_of(i)));
    }
    const std::vector<Array> outputs = call_traced(placeholders);
    std::vector<Array> leaves = placeholders;
    signature->graph = snapshot(outputs, &leaves);
    make_constants(signature->graph, leaves, placeholders.size());
    signature->graph.phase = options.phase;
    signature->numbers = numbers_of(signature->graph);
    give_handles(*signature);
    return signature;
  }

  std::string name_of(std::size_t argument) const {
    return argument < options.argument_names.size() ? options.argument_names[argument] : std::string();
  }

  std::vector<int> donated_of(std::size_t arguments) const {
    std::vector<int> donated = options.donate;
    std::sort(donated.begin(), donated.end());
    donated.erase(std::unique(donated.begin(), donated.end()), donated.end());
    for (const int index : donated)
      if (index < 0 || static_cast<std::size_t>(index) >= arguments)
        fail("compile: donate names argument {}, expected 0 to {}, as the call has {}", index,
             static_cast<std::int64_t>(arguments) - 1, arguments);
    return donated;
  }

  std::vector<Array> call_traced(const std::vector<Array>& placeholders) const {
    const Tracing tracing_now;
    return function(placeholders);
  }

  // Leaves beyond the arguments are captured.
  static void make_constants(Graph& graph, const std::vector<Array>& leaves, std::size_t arguments) {
    if (leaves.size() == arguments) return;
    for (GraphNode& node : graph.nodes) {
      if (node.op != Op::input) continue;
      const auto index = static_cast<std::size_t>(node.as<InputAttrs>().index);
      if (index < arguments) continue;
      const Array& leaf = leaves[index];
      if (!leaf.evaluated()) fail_capture(leaf);
      node.constant = constant(leaf).result().buffer;
      node.op = Op::constant;
      node.attrs = NoAttrs{};
      node.from[0].op = Op::constant;
    }
  }

  [[noreturn]] static void fail_capture(const Array& leaf) {
    const Node& node = *leaf.node();
    fail("compile: the function reads {}{}{}, a placeholder of another trace; pass it as an argument",
         to_string(leaf.type()), node.label.empty() ? "" : " " + node.label, Scope::where(node.scope));
  }

  static void give_handles(Signature& signature) {
    std::vector<int> left = signature.donated;
    for (const ValueId output : signature.graph.outputs) {
      const Type& type = signature.graph.type(output);
      signature.results.push_back(std::make_shared<const std::vector<Type>>(1, type));
      const auto taken = std::find_if(left.begin(), left.end(), [&](int argument) {
        return signature.arguments[static_cast<std::size_t>(argument)].get() == type;
      });
      signature.handles.push_back(taken == left.end() ? -1 : *taken);
      if (taken != left.end()) left.erase(taken);
    }
  }

  std::shared_ptr<Executable> executable(Signature& signature, Evaluator& evaluator) {
    std::vector<Signature::Prepared>& prepared = signature.prepared;
    {
      const std::lock_guard lock(mutex);
      const auto found = std::find_if(prepared.begin(), prepared.end(),
                                      [&](const auto& known) { return known.evaluator == evaluator.id(); });
      if (found != prepared.end()) {
        std::rotate(prepared.begin(), found, found + 1);
        return prepared.front().executable;
      }
    }
    std::shared_ptr<Executable> made = evaluator.prepare(signature.graph, signature.donated);
    const std::lock_guard lock(mutex);
    if (prepared.size() == max_prepared) prepared.pop_back();
    prepared.insert(prepared.begin(), {evaluator.id(), made});
    return made;
  }
};

CompiledFunction compile(ArrayFunction function, CompileOptions options) {
  CompiledFunction compiled;
  compiled.state_ = std::make_shared<CompiledFunction::State>();
  compiled.state_->function = std::move(function);
  compiled.state_->options = std::move(options);
  return compiled;
}

CompiledFunction compile(Graph graph, std::vector<int> donate) {
  verify(graph);
  for (const GraphNode& node : graph.nodes)
    if (node.op == Op::constant && !node.constant)
      fail("compile: constant {} '{}' of the graph holds no data", to_string(node.type()), node.label);
  CompiledFunction compiled;
  compiled.state_ = std::make_shared<CompiledFunction::State>();
  CompiledFunction::State& state = *compiled.state_;
  state.is_graph = true;
  state.options.donate = std::move(donate);
  auto signature = std::make_shared<CompiledFunction::Signature>();
  for (const ValueId input : graph.inputs())
    signature->arguments.push_back({std::make_shared<const std::vector<Type>>(1, graph.type(input)), 0});
  signature->donated = state.donated_of(signature->arguments.size());
  signature->graph = std::move(graph);
  signature->numbers = numbers_of(signature->graph);
  CompiledFunction::State::give_handles(*signature);
  state.function = [signature = std::weak_ptr(signature)](const std::vector<Array>& arguments) {
    return inline_graph(signature.lock()->graph, arguments);
  };
  state.signatures.push_back(std::move(signature));
  return compiled;
}

std::vector<Array> CompiledFunction::operator()(const std::vector<Array>& arguments, Stream stream) const {
  return (*this)(std::vector<Array>(arguments), stream);
}

std::vector<Array> CompiledFunction::operator()(std::vector<Array>&& arguments, Stream stream) const {
  State& state = checked_state();
  if (traces > 0) return state.function(arguments);
  const std::shared_ptr<Evaluator> evaluator = current_evaluator();
  evaluator->begin_lookup();
  const std::shared_ptr<Signature> signature = state.find_or_trace(arguments);
  std::vector<Array> unevaluated;
  for (const Array& argument : arguments)
    if (!argument.evaluated()) unevaluated.push_back(argument);
  if (!unevaluated.empty()) async_eval(unevaluated, stream);
  unevaluated.clear();
  const std::shared_ptr<Executable> executable = state.executable(*signature, *evaluator);
  std::vector<Operand> operands;
  operands.reserve(arguments.size());
  for (const Array& argument : arguments) operands.push_back({argument.result(), false});
  for (const int index : signature->donated) {
    const auto i = static_cast<std::size_t>(index);
    operands[i].donated = is_given_up(arguments[i]);
  }
  std::vector<Result> results =
      evaluator->run(executable, std::move(operands), signature->numbers, stream.index, false);
  std::vector<Array> outputs;
  outputs.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const int handle = signature->handles[i];
    if (handle >= 0 && can_hold_another_value(arguments[static_cast<std::size_t>(handle)])) {
      outputs.push_back(std::move(arguments[static_cast<std::size_t>(handle)]));
      outputs.back().node()->replace_result(std::move(results[i]));
    } else {
      outputs.push_back(evaluated_input(signature->results[i], std::move(results[i])));
    }
  }
  return outputs;
}

CompiledFunction::State& CompiledFunction::checked_state() const {
  if (!state_) fail("an empty compiled function was called");
  return *state_;
}

const Graph& CompiledFunction::graph(const std::vector<Array>& arguments) const {
  return checked_state().find_or_trace(arguments)->graph;
}

std::shared_ptr<Executable> CompiledFunction::executable(const std::vector<Array>& arguments) const {
  State& state = checked_state();
  const std::shared_ptr<Evaluator> evaluator = current_evaluator();
  evaluator->begin_lookup();
  return state.executable(*state.find_or_trace(arguments), *evaluator);
}

std::vector<int> CompiledFunction::donated(const std::vector<Array>& arguments) const {
  return checked_state().find_or_trace(arguments)->donated;
}

int CompiledFunction::signatures() const {
  if (!state_) return 0;
  const std::lock_guard lock(state_->mutex);
  return static_cast<int>(state_->signatures.size());
}

}  // namespace lazuli
