// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/event.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/evaluator.h>

#include <atomic>
#include <unordered_map>
#include <unordered_set>

namespace lazuli {
namespace {

thread_local Evaluator* current = nullptr;

std::uint64_t next_evaluator_id() {
  static std::atomic<std::uint64_t> counter{0};
  return ++counter;
}

// Inputs that only dying nodes hold: nobody can read them after this evaluation, so their memory may be reused.
// A node dies when it is evaluated (its operands are dropped) or when all its holders die.
std::vector<char> unreachable_leaves(std::span<const Array> outputs, const std::vector<Array>& leaves) {
  std::unordered_map<const Node*, long> references;  // from dying nodes
  std::vector<const Node*> dying;
  for (const Array& output : outputs)
    if (references.emplace(output.node().get(), -1).second) dying.push_back(output.node().get());
  while (!dying.empty()) {
    const Node* node = dying.back();
    dying.pop_back();
    for (const Array& input : node->inputs) {
      long& count = references[input.node().get()];
      if (count < 0) continue;
      if (++count == input.node().use_count() && input.node()->results.empty()) dying.push_back(input.node().get());
    }
  }
  std::vector<char> unreachable;
  for (const Array& leaf : leaves) {
    const auto found = references.find(leaf.node().get());
    // `leaves` itself holds one reference.
    unreachable.push_back(leaf.node()->op != Op::constant && leaf.node()->types->size() == 1 &&
                          found != references.end() && found->second == leaf.node().use_count() - 1);
  }
  return unreachable;
}

void evaluate(std::span<const Array> arrays, int stream, bool wait_for_results) {
  std::vector<Array> pending;
  std::unordered_set<const Node*> seen;
  for (const Array& array : arrays) {
    if (!array.defined()) fail("eval: an empty array was given");
    if (!array.evaluated() && seen.insert(array.node().get()).second)
      for (std::size_t output = 0; output < array.node()->types->size(); ++output)
        pending.emplace_back(array.node(), static_cast<int>(output));
  }
  if (!pending.empty()) {
    std::vector<Array> leaves;
    const Graph graph = snapshot(pending, &leaves);
    const std::vector<char> unreachable = unreachable_leaves(pending, leaves);
    std::vector<Operand> operands;
    std::unique_ptr<bool[]> donated(new bool[leaves.size()]);
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const Array& leaf = leaves[i];
      if (!leaf.evaluated())
        fail("eval: input %{}{} has no data; it is a placeholder of a traced function", i,
             leaf.node()->label.empty() ? "" : " " + leaf.node()->label);
      donated[i] = unreachable[i] != 0;
      operands.push_back({leaf.node()->results[static_cast<std::size_t>(leaf.output())], donated[i]});
    }
    Evaluator& evaluator = current_evaluator();
    const auto executable = evaluator.prepare(graph, std::span<const bool>(donated.get(), leaves.size()));
    leaves.clear();
    std::vector<Result> results = evaluator.run(executable, std::move(operands), stream, wait_for_results);
    for (std::size_t i = 0; i < pending.size(); ++i) {
      Node& node = *pending[i].node();
      node.results.resize(node.types->size());
      node.results[static_cast<std::size_t>(pending[i].output())] = std::move(results[i]);
    }
    for (const Array& array : pending) {
      std::vector<Array> dropped = std::move(array.node()->inputs);  // die here, iteratively, through ~Node
      array.node()->inputs.clear();
    }
  }
  if (wait_for_results)
    for (const Array& array : arrays) wait(array);
}

}  // namespace

Evaluator::Evaluator() : id_(next_evaluator_id()) {}

Evaluator& current_evaluator() {
  if (current == nullptr)
    throw Error("no session on this thread: create a lazuli::Session before arrays are evaluated");
  return *current;
}

bool has_evaluator() { return current != nullptr; }

UseEvaluator::UseEvaluator(Evaluator& evaluator) : previous_(current) { current = &evaluator; }
UseEvaluator::~UseEvaluator() { current = previous_; }

void eval(std::span<const Array> arrays) { evaluate(arrays, 0, true); }
void async_eval(std::span<const Array> arrays, Stream stream) { evaluate(arrays, stream.index, false); }

void wait(const Array& array) {
  if (!array.evaluated()) fail("wait: the array was never evaluated");
  const Result& result = array.node()->results[static_cast<std::size_t>(array.output())];
  if (result.ready) result.ready->wait();
}

}  // namespace lazuli
