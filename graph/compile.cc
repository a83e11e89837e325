// SPDX-License-Identifier: MIT
// compile(): a function is traced once per signature; later calls find the program and hand it over. A decode step
// calls with dozens of caches, whose handles have left the processor's caches since the last one, so a call looks at
// the node of each argument and at nothing behind it, and neither makes nor frees anything for a state that goes round.
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/evaluator.h>

#include <algorithm>

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
  return array.node().use_count() == 1 && array.node()->op == Op::input && array.node()->results.size() == 1;
}

}  // namespace

struct CompiledFunction::State {
  struct Signature {
    std::vector<ArgumentType> arguments;
    std::unique_ptr<bool[]> donated;  // arguments
    Graph graph;
    std::vector<TypesRef> results;
    // For each result, the donated argument of its type whose handle it may take over, or -1.
    std::vector<int> handles;
    std::shared_ptr<Executable> executable;
    std::uint64_t prepared_by = 0;  // Evaluator::id

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

  ArrayFunction function;
  CompileOptions options;
  std::vector<std::unique_ptr<Signature>> signatures;  // the one that was used last is the first

  bool donates(std::size_t argument) const {
    return std::find(options.donate.begin(), options.donate.end(), static_cast<int>(argument)) != options.donate.end();
  }

  Signature& find_or_trace(const std::vector<Array>& arguments) {
    const auto found = std::find_if(signatures.begin(), signatures.end(),
                                    [&](const auto& signature) { return signature->matches(arguments); });
    if (found == signatures.end())
      signatures.insert(signatures.begin(), std::make_unique<Signature>(trace(arguments)));
    else
      std::rotate(signatures.begin(), found, found + 1);
    return *signatures.front();
  }

  Signature trace(const std::vector<Array>& arguments) const {
    Signature signature;
    signature.donated.reset(new bool[arguments.size()]);
    std::vector<Array> placeholders;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      signature.arguments.push_back(type_of(arguments[i]));
      signature.donated[i] = donates(i);
      placeholders.push_back(
          placeholder(arguments[i].type(), i < options.argument_names.size() ? options.argument_names[i] : ""));
    }
    const std::vector<Array> outputs = function(placeholders);
    std::vector<Array> leaves = placeholders;
    signature.graph = snapshot(outputs, &leaves);
    if (leaves.size() != placeholders.size())
      fail("compile: the function reads {}, which is neither an argument nor a constant",
           to_string(leaves[placeholders.size()].type()));
    signature.graph.phase = options.phase;
    give_handles(signature);
    return signature;
  }

  static void give_handles(Signature& signature) {
    std::vector<char> given(signature.arguments.size(), false);
    for (const ValueId output : signature.graph.outputs) {
      const Type& type = signature.graph.type(output);
      signature.results.push_back(std::make_shared<const std::vector<Type>>(1, type));
      std::size_t argument = 0;
      while (argument < given.size() &&
             (given[argument] || !signature.donated[argument] || signature.arguments[argument].get() != type))
        ++argument;
      const bool found = argument < given.size();
      if (found) given[argument] = true;
      signature.handles.push_back(found ? static_cast<int>(argument) : -1);
    }
  }

  Signature& prepare(const std::vector<Array>& arguments) {
    Evaluator& evaluator = current_evaluator();
    evaluator.begin_lookup();
    Signature& signature = find_or_trace(arguments);
    if (signature.prepared_by != evaluator.id()) {
      signature.executable = evaluator.prepare(signature.graph, {signature.donated.get(), arguments.size()});
      signature.prepared_by = evaluator.id();
    }
    return signature;
  }
};

CompiledFunction compile(ArrayFunction function, CompileOptions options) {
  CompiledFunction compiled;
  compiled.state_ = std::make_shared<CompiledFunction::State>();
  compiled.state_->function = std::move(function);
  compiled.state_->options = std::move(options);
  return compiled;
}

std::vector<Array> CompiledFunction::operator()(const std::vector<Array>& arguments, Stream stream) const {
  return (*this)(std::vector<Array>(arguments), stream);
}

std::vector<Array> CompiledFunction::operator()(std::vector<Array>&& arguments, Stream stream) const {
  if (!state_) fail("an empty compiled function was called");
  std::vector<Array> unevaluated;
  for (const Array& argument : arguments)
    if (!argument.evaluated()) unevaluated.push_back(argument);
  if (!unevaluated.empty()) async_eval(unevaluated, stream);
  const State::Signature& signature = state_->prepare(arguments);
  std::vector<Operand> operands;
  operands.reserve(arguments.size());
  for (std::size_t i = 0; i < arguments.size(); ++i)
    operands.push_back(
        {arguments[i].node()->results[static_cast<std::size_t>(arguments[i].output())], signature.donated[i]});
  std::vector<Result> results = current_evaluator().run(signature.executable, std::move(operands), stream.index, false);
  std::vector<Array> outputs;
  outputs.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const int handle = signature.handles[i];
    if (handle >= 0 && can_hold_another_value(arguments[static_cast<std::size_t>(handle)])) {
      outputs.push_back(std::move(arguments[static_cast<std::size_t>(handle)]));
      outputs.back().node()->results[0] = std::move(results[i]);
    } else {
      outputs.push_back(evaluated_input(signature.results[i], std::move(results[i])));
    }
  }
  return outputs;
}

const Graph& CompiledFunction::graph(const std::vector<Array>& arguments) const {
  return state_->find_or_trace(arguments).graph;
}

std::shared_ptr<Executable> CompiledFunction::executable(const std::vector<Array>& arguments) const {
  return state_->prepare(arguments).executable;
}

int CompiledFunction::signatures() const { return state_ ? static_cast<int>(state_->signatures.size()) : 0; }

}  // namespace lazuli
