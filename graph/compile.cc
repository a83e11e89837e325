// SPDX-License-Identifier: MIT
// compile(): a function is traced once per signature; later calls find the program and hand it over. A decode step
// calls with dozens of caches, whose handles have left the processor's caches since the last one, so a call looks at
// the node of each argument and at nothing behind it, and neither makes nor frees anything for a state that goes round.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/inline_graph.h>
#include <lazuli/graph/node_record.h>
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

ArgumentType type_alone(Type type) { return {std::make_shared<const std::vector<Type>>(1, std::move(type)), 0}; }
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
  // Where arguments name axes: the arguments' types, null without a name, the names, and for each result the argument
  // whose size it has, or -1.
  std::vector<TypesRef> kept_types;
  std::vector<const Type*> named;
  std::vector<NamedSize> dimensions;
  std::vector<int> sized_by;

  // What each argument brings; empty where none has a named axis. Throws an Error for sizes that do not fit.
  std::vector<std::int64_t> sizes_of(const std::vector<Array>& given) const {
    std::vector<std::int64_t> brought;
    if (dimensions.empty()) return brought;
    for (std::size_t i = 0; i < given.size(); ++i)
      brought.push_back(named[i] ? size_brought(*named[i], given[i].type()) : -1);
    sizes_of_run(dimensions, named, brought, "compile");
    return brought;
  }

  // The types of result `i` of a call whose arguments bring these sizes.
  TypesRef result_types(std::size_t i, const std::vector<std::int64_t>& sizes) const {
    if (sizes.empty() || sized_by[i] < 0) return results[i];
    const std::int64_t size = sizes[static_cast<std::size_t>(sized_by[i])];
    return std::make_shared<const std::vector<Type>>(1, at_size((*results[i])[0], size));
  }

  bool matches(const std::vector<Array>& given) {
    if (given.size() != arguments.size()) return false;
    for (std::size_t i = 0; i < given.size(); ++i) {
      const ArgumentType& known = arguments[i];
      if (given[i].node()->types == known.types && static_cast<std::size_t>(given[i].output()) == known.output)
        continue;
      if (known.get().named) {
        if (!accepts(known.get(), given[i].type())) return false;
        continue;
      }
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
    check_dimensions(arguments.size());
    std::vector<Array> placeholders;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const Type type = traced_type(arguments[i].type(), i);
      signature->arguments.push_back(type.named ? type_alone(type) : type_of(arguments[i]));
      placeholders.push_back(placeholder(type, name_of(i)));
    }
    const std::vector<Array> outputs = call_traced(placeholders);
    std::vector<Array> leaves = placeholders;
    signature->graph = snapshot(outputs, &leaves);
    make_constants(signature->graph, leaves, placeholders.size());
    signature->graph.phase = options.phase;
    signature->numbers = numbers_of(signature->graph);
    give_handles(*signature);
    note_dimensions(*signature);
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

  void check_dimensions(std::size_t arguments) const {
    for (std::size_t i = 0; i < options.dimensions.size(); ++i) {
      const auto& [index, axis, dimension] = options.dimensions[i];
      if (index < 0 || static_cast<std::size_t>(index) >= arguments)
        fail("compile: dimension {} names argument {}, expected 0 to {}, as the call has {}", dimension.name, index,
             static_cast<std::int64_t>(arguments) - 1, arguments);
      for (std::size_t other = 0; other < i; ++other) {
        const ArgumentDimension& before = options.dimensions[other];
        if (before.argument == index)
          fail("compile: argument {} has the dimensions {} and {}, expected one at most", index, before.dimension.name,
               dimension.name);
        if (before.dimension.name == dimension.name && before.dimension.bound != dimension.bound)
          fail("compile: dimension {} has the bounds {} and {}, expected one", dimension.name, before.dimension.bound,
               dimension.bound);
      }
    }
  }

  // A call within a trace is traced anew, for the sizes it finds there; the bounds hold for it as well.
  std::vector<Array> call_inlined(const std::vector<Array>& arguments) const {
    for (const auto& [index, axis, dimension] : options.dimensions) {
      if (static_cast<std::size_t>(index) >= arguments.size()) continue;
      const Type& type = arguments[static_cast<std::size_t>(index)].type();
      const int at = normalise_axis(axis, type.shape.size(), "compile");
      const std::int64_t size = type.shape[static_cast<std::size_t>(at)];
      if (size < 1 || size > dimension.bound)
        fail(ErrorDetails{.kind = ErrorKind::shape,
                          .op = "compile",
                          .expected = fmt::format("{} = 1 to {}", dimension.name, dimension.bound),
                          .found = fmt::format("{} = {}", dimension.name, size)},
             "compile: argument {} has {} = {} along axis {}, expected 1 to {}", index, dimension.name, size, at,
             dimension.bound);
    }
    return function(arguments);
  }

  // With the bound of its named axis in the place of the size.
  Type traced_type(Type type, std::size_t argument) const {
    for (const auto& [index, axis, dimension] : options.dimensions) {
      if (static_cast<std::size_t>(index) != argument) continue;
      const int at = normalise_axis(axis, type.shape.size(), "compile");
      type.shape[static_cast<std::size_t>(at)] = dimension.bound;
      return with_named_axis(std::move(type), at, dimension.name);
    }
    return type;
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

  static void note_dimensions(Signature& signature) {
    signature.dimensions = dimensions_of(signature.graph);
    if (signature.dimensions.empty()) return;
    for (const ArgumentType& argument : signature.arguments) {
      signature.kept_types.push_back(argument.types);
      signature.named.push_back(argument.get().named ? &argument.get() : nullptr);
    }
    for (const TypesRef& result : signature.results) {
      const NamedAxis& named = (*result)[0].named;
      const auto sizes = [&](const Type* type) { return named && type && type->named.name == named.name; };
      const auto found = std::find_if(signature.named.begin(), signature.named.end(), sizes);
      signature.sized_by.push_back(found == signature.named.end() ? -1
                                                                  : static_cast<int>(found - signature.named.begin()));
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
  for (const ValueId input : graph.inputs()) signature->arguments.push_back(type_alone(graph.type(input)));
  signature->donated = state.donated_of(signature->arguments.size());
  signature->graph = std::move(graph);
  signature->numbers = numbers_of(signature->graph);
  CompiledFunction::State::give_handles(*signature);
  CompiledFunction::State::note_dimensions(*signature);
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
  if (traces > 0 || NodeRecord::is_recording()) return state.call_inlined(arguments);
  const std::shared_ptr<Evaluator> evaluator = current_evaluator();
  evaluator->begin_lookup();
  const std::shared_ptr<Signature> signature = state.find_or_trace(arguments);
  const std::vector<std::int64_t> sizes = signature->sizes_of(arguments);
  std::vector<Array> unevaluated;
  for (const Array& argument : arguments)
    if (!argument.evaluated()) unevaluated.push_back(argument);
  if (!unevaluated.empty()) async_eval(unevaluated, stream);
  unevaluated.clear();
  const std::shared_ptr<Executable> executable = state.executable(*signature, *evaluator);
  std::vector<Operand> operands;
  operands.reserve(arguments.size());
  for (const Array& argument : arguments) operands.push_back({argument.result(), false});
  for (std::size_t i = 0; i < sizes.size(); ++i) operands[i].size = sizes[i];
  for (const int index : signature->donated) {
    const auto i = static_cast<std::size_t>(index);
    operands[i].donated = is_given_up(arguments[i]);
  }
  // Handles come first: what is submitted may write into arguments that were given up, and nothing may fail behind it.
  std::vector<Array> outputs(signature->handles.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const int handle = signature->handles[i];
    if (handle < 0 || !can_hold_another_value(arguments[static_cast<std::size_t>(handle)]))
      outputs[i] = evaluated_input(signature->result_types(i, sizes), {});
  }
  std::vector<Result> results =
      evaluator->run(executable, std::move(operands), signature->numbers, stream.index, false);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].defined()) outputs[i] = std::move(arguments[static_cast<std::size_t>(signature->handles[i])]);
    outputs[i].node()->replace_result(std::move(results[i]));
  }
  return outputs;
}

CompiledFunction::State& CompiledFunction::checked_state() const {
  if (!state_) fail("an empty compiled function was called");
  return *state_;
}

const Graph& CompiledFunction::graph(const std::vector<Array>& arguments) const {
  const std::shared_ptr<Signature> signature = checked_state().find_or_trace(arguments);
  signature->sizes_of(arguments);  // are to fit here as well
  return signature->graph;
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
