// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/event.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/fork.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/order_behind_readers.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <new>
#include <unordered_map>
#include <unordered_set>

namespace lazuli {
namespace {

// Entries end when their UseEvaluator does, on whichever thread that happens.
thread_local std::vector<std::weak_ptr<std::shared_ptr<Evaluator>>> current;

std::shared_ptr<Evaluator> find_current() {
  while (!current.empty()) {
    if (const auto entry = current.back().lock()) return *entry;
    current.pop_back();
  }
  return nullptr;
}

std::uint64_t next_evaluator_id() {
  static std::atomic<std::uint64_t> counter{0};
  return ++counter;
}

// Inputs that only dying nodes hold: nobody can read them after this evaluation, so their memory may be reused.
// A node dies when it is evaluated (its operands are dropped) or when all its holders die.
std::vector<int> unreachable_leaves(std::span<const Array> outputs, const std::vector<Array>& leaves) {
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
      if (++count == input.node().use_count() && !input.evaluated()) dying.push_back(input.node().get());
    }
  }
  std::vector<int> unreachable;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const NodeRef& node = leaves[i].node();
    const auto found = references.find(node.get());
    // `leaves` itself holds one reference.
    if (node->op != Op::constant && node->types->size() == 1 && found != references.end() &&
        found->second == node.use_count() - 1)
      unreachable.push_back(static_cast<int>(i));
  }
  return unreachable;
}

// Outputs that are not computed yet, each node once with all its outputs.
std::vector<Array> pending_outputs(std::span<const Array> arrays) {
  std::vector<Array> pending;
  std::unordered_set<const Node*> seen;
  for (const Array& array : arrays)
    if (!array.evaluated() && seen.insert(array.node().get()).second)
      for (std::size_t output = 0; output < array.node()->types->size(); ++output)
        pending.emplace_back(array.node(), static_cast<int>(output));
  return pending;
}

std::condition_variable_any* donation_condition = nullptr;

// In the child of a fork it is made anew: threads that are missing there may wait for it or have its inside locked.
std::condition_variable_any* make_donation_condition() {
  donation_condition = new std::condition_variable_any;
  pthread_atfork(nullptr, nullptr, [] { new (donation_condition) std::condition_variable_any; });
  return donation_condition;
}

// Told when donated leaves are given up or given back. Never ends, as static objects may wait for it.
std::condition_variable_any& donation_ended() {
  static std::condition_variable_any& ended = *make_donation_condition();
  return ended;
}

// What one evaluation computes, from the moment it looks at the arrays to the moment their results are known. In
// between, a leaf it may write into is marked, and other threads that need it wait: they find its reader computed.
class Evaluation {
 public:
  explicit Evaluation(std::span<const Array> arrays) {
    auto lock = lock_operands();
    for (;;) {
      pending_ = pending_outputs(arrays);
      if (pending_.empty()) return;
      leaves_.clear();
      graph_ = snapshot(pending_, &leaves_);
      const auto given_up = [](const Array& leaf) { return leaf.node()->donated; };
      if (std::none_of(leaves_.begin(), leaves_.end(), given_up)) break;
      leaves_.clear();
      donation_ended().wait(lock);
    }
    take_operands();
  }
  ~Evaluation() {
    if (donated_nodes_.empty()) return;
    const auto lock = lock_operands();
    for (const NodeRef& node : donated_nodes_) node->donated = false;
    donation_ended().notify_all();
  }
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

  bool empty() const { return pending_.empty(); }

  void run(Evaluator& evaluator, int stream, bool wait_for_results) {
    const auto executable = evaluator.prepare(graph_, donated_);
    make_room();
    publish(evaluator.run(executable, std::move(operands_), numbers_of(graph_), stream, wait_for_results));
  }

 private:
  void take_operands() {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      const Array& leaf = leaves_[i];
      if (!leaf.evaluated())
        fail("eval: input %{}{} has no data; it is a placeholder of a traced function", i,
             leaf.node()->label.empty() ? "" : " " + leaf.node()->label);
      operands_.push_back({leaf.result(), false});
    }
    donated_ = unreachable_leaves(pending_, leaves_);
    if (donated_.empty()) return;
    // What is marked must be known to the destructor, which does not run where this throws, and must need no memory.
    donated_nodes_.reserve(donated_.size());
    donation_ended();
    for (const int index : donated_) {
      operands_[static_cast<std::size_t>(index)].donated = true;
      const NodeRef& node = leaves_[static_cast<std::size_t>(index)].node();
      order_behind_readers(node);
      node->donated = true;
      donated_nodes_.push_back(node);
    }
  }

  // For all that publish() puts anywhere. What is submitted cannot be taken back, and may have written into donated
  // memory by then: nothing behind it may fail for want of memory.
  void make_room() {
    const auto lock = lock_operands();
    std::size_t operands = 0;
    for (std::size_t i = 0; i < pending_.size();) {
      const Node& node = *pending_[i].node();
      results_.emplace_back(node.types->size());
      operands += node.inputs.size();
      i += node.types->size();
    }
    dropped_.reserve(operands);
  }

  void publish(std::vector<Result> results) {
    const auto lock = lock_operands();
    auto next = results.begin();
    for (std::size_t i = 0, number = 0; i < pending_.size(); ++number) {
      Node& node = *pending_[i].node();
      std::vector<Result>& own = results_[number];
      const auto end = next + static_cast<std::ptrdiff_t>(own.size());
      std::move(next, end, own.begin());
      next = end;
      i += own.size();
      node.publish(std::move(own));
      dropped_.insert(dropped_.end(), std::make_move_iterator(node.inputs.begin()),
                      std::make_move_iterator(node.inputs.end()));
      node.inputs.clear();
    }
  }

  // Leaves are held until the program is submitted, so that no other evaluation takes them for unreachable.
  std::vector<Array> pending_, leaves_;
  Graph graph_;
  std::vector<Operand> operands_;
  std::vector<int> donated_;  // indices of leaves
  std::vector<NodeRef> donated_nodes_;
  std::vector<std::vector<Result>> results_;  // of each pending node
  std::vector<Array> dropped_;                // operands; they die after the lock, iteratively, through ~Node
};

void evaluate(std::span<const Array> arrays, int stream, bool wait_for_results) {
  for (const Array& array : arrays)
    if (!array.defined()) fail("eval: an empty array was given");
  // Before operands are looked at: those that a missing thread has in hand are never given back.
  if (const auto evaluator = find_current(); evaluator && evaluator->of_parent_process())
    fail_after_fork("session: made");
  {
    Evaluation evaluation(arrays);
    if (!evaluation.empty()) evaluation.run(*current_evaluator(), stream, wait_for_results);
  }
  if (wait_for_results)
    for (const Array& array : arrays) wait(array);
}

}  // namespace

NumbersRef numbers_of(const Graph& graph) {
  std::vector<double> values = number_values(graph);
  return values.empty() ? nullptr : std::make_shared<const std::vector<double>>(std::move(values));
}

Evaluator::Evaluator() : id_(next_evaluator_id()), generation_(process_generation()) {}

bool Evaluator::of_parent_process() const { return generation_ != process_generation(); }

std::shared_ptr<Evaluator> current_evaluator() {
  std::shared_ptr<Evaluator> evaluator = find_current();
  if (evaluator == nullptr)
    throw Error(
        "no session on this thread: create a lazuli::Session on it, make one of another thread current by "
        "lazuli::UseSession, or call eval of the session");
  if (evaluator->of_parent_process()) fail_after_fork("session: made");
  return evaluator;
}

bool has_evaluator() { return find_current() != nullptr; }

UseEvaluator::UseEvaluator(std::shared_ptr<Evaluator> evaluator)
    : entry_(std::make_shared<std::shared_ptr<Evaluator>>(std::move(evaluator))) {
  find_current();  // drops what has ended
  current.push_back(entry_);
}
UseEvaluator::UseEvaluator(Evaluator& evaluator)
    : UseEvaluator(std::shared_ptr<Evaluator>(std::shared_ptr<void>(), &evaluator)) {}
UseEvaluator::~UseEvaluator() = default;
UseEvaluator::UseEvaluator(UseEvaluator&&) noexcept = default;
UseEvaluator& UseEvaluator::operator=(UseEvaluator&&) noexcept = default;

void eval(std::span<const Array> arrays) { evaluate(arrays, 0, true); }
void async_eval(std::span<const Array> arrays, Stream stream) { evaluate(arrays, stream.index, false); }

void wait(const Array& array) {
  if (!array.evaluated()) fail("wait: the array was never evaluated");
  const Result& result = array.result();
  if (result.ready) result.ready->wait();
}

Array constant(const Array& array, std::string label) {
  array.bytes();
  const BufferRef& memory = array.result().buffer;
  memory->share();
  return Array::constant(memory, array.type(), std::move(label));
}

}  // namespace lazuli
