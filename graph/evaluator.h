// SPDX-License-Identifier: MIT
// How graphs get computed: the interface a session implements, and the functions programs call.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/base/export.h>
#include <lazuli/graph/graph.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lazuli {

// A compiled graph, owned by the evaluator that made it.
class LAZULI_API Executable {
 public:
  virtual ~Executable() = default;
};

// The numbers of a graph (its scalars, and attributes such as an epsilon) in the order of its nodes: what a run of its
// program is given. Null where there are none.
using NumbersRef = std::shared_ptr<const std::vector<double>>;
LAZULI_API NumbersRef numbers_of(const Graph& graph);

struct LAZULI_API Operand {
  Result value;
  bool donated = false;    // the caller gives the array up: its memory may become a result
  std::int64_t size = -1;  // along the axis that the program's input names; -1: the bound
};

class LAZULI_API Evaluator {
 public:
  Evaluator();
  virtual ~Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Never reused within the process, unlike an address: executables outlive the evaluator that made them.
  std::uint64_t id() const { return id_; }
  // Made by a process that has forked this one since: its threads are missing, and calls that need them would hang.
  bool of_parent_process() const;

  // Passes and backend; returns the same executable for the same structure, whatever its numbers are: what passes made
  // of their values is true of those of this graph. `donated`: inputs of the graph, ascending,
  // that callers of the program may give up.
  virtual std::shared_ptr<Executable> prepare(const Graph& graph, std::span<const int> donated) = 0;
  // A compiled function is about to look its program up. For evaluators that time the parts of a step.
  virtual void begin_lookup() {}
  // Runs on `stream`. Results are allocated at once, so that they can be operands of the next call before they are
  // computed. `numbers` are those of the graph that was prepared. With `wait` the call returns when the results hold
  // their values; otherwise their events say so. An operand is written to only where the caller gives it up here as
  // well; otherwise the program works on a copy.
  virtual std::vector<Result> run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                                  NumbersRef numbers, int stream, bool wait) = 0;

 private:
  const std::uint64_t id_;
  const std::uint64_t generation_;
};

// The evaluator of this thread: the one that was made current last and still lives. A Session makes itself current on
// the thread that creates it. Throws an Error where there is none, and for one that was made before fork() in its
// child.
LAZULI_API std::shared_ptr<Evaluator> current_evaluator();
LAZULI_API bool has_evaluator();
// Makes an evaluator current on this thread for the life of the object, which may end in any order and on any thread.
class LAZULI_API UseEvaluator {
 public:
  // Shares the evaluator.
  explicit UseEvaluator(std::shared_ptr<Evaluator> evaluator);
  // The evaluator outlives the object and all calls through it.
  explicit UseEvaluator(Evaluator& evaluator);
  ~UseEvaluator();
  UseEvaluator(UseEvaluator&&) noexcept;
  UseEvaluator& operator=(UseEvaluator&&) noexcept;

 private:
  // The thread knows the evaluator as long as this lives.
  std::shared_ptr<std::shared_ptr<Evaluator>> entry_;
};

// An ordered queue of work; work on different streams may overlap. Stream 0 is the default.
struct LAZULI_API Stream {
  int index = 0;
};

// Computes the arrays. async_eval returns at once; wait() or data() wait for what they need and rethrow what failed.
// An input whose last handle is inside the graph is donated. Several threads may ask for the same arrays at once.
LAZULI_API void eval(std::span<const Array> arrays);
LAZULI_API void async_eval(std::span<const Array> arrays, Stream stream = {});
inline void eval(std::initializer_list<Array> arrays) { eval(std::span(arrays.begin(), arrays.size())); }
inline void async_eval(std::initializer_list<Array> arrays, Stream stream = {}) {
  async_eval(std::span(arrays.begin(), arrays.size()), stream);
}
inline void eval(const Array& array) { eval(std::span(&array, 1)); }
inline void async_eval(const Array& array, Stream stream = {}) { async_eval(std::span(&array, 1), stream); }
LAZULI_API void wait(const Array& array);
// The array's value as a constant (see Array::constant), evaluated now if need be. Shares its memory, which nothing may
// take over any more.
LAZULI_API Array constant(const Array& array, std::string label = {});

// A function of arrays that is traced once per signature (dtypes and shapes of the arguments) and then only run. Arrays
// it captures are constants of the trace where they have a value: it is the one of that moment, like the value of a
// number it captures. What it captures unevaluated becomes part of it. Compiled functions that it calls are inlined.
using ArrayFunction = std::function<std::vector<Array>(const std::vector<Array>&)>;

// A size that calls bring: any from 1 to the bound, of which the function is compiled once for all. Names are letters,
// digits and underscores.
struct LAZULI_API Dimension {
  std::string name;
  std::int64_t bound = 0;  // at least 2
};
// The axis of an argument that has such a size: its first one longer than 1. Negative axes count from the end.
struct LAZULI_API ArgumentDimension {
  int argument = 0;
  std::int64_t axis = 0;
  Dimension dimension;
};

struct LAZULI_API CompileOptions {
  std::vector<int> donate;  // arguments given up by each call; an Error at the call where there is none of that index
  Phase phase = Phase::any;
  std::vector<std::string> argument_names;  // for listings
  // Arguments of sizes that differ from call to call; at most one axis of each. The function is traced at the bounds:
  // shapes have them, types the names beside (docs/named-dimensions.md). An op that takes no named axis is an Error
  // there. A call with a size above its bound, or with two sizes of one name, is an Error.
  std::vector<ArgumentDimension> dimensions;
};

// A copy shares what was traced. Any number of threads may call at once; the function given is traced by one of them at
// a time.
class LAZULI_API CompiledFunction {
 public:
  // Computes asynchronously. Arguments that somebody holds, as the caller does here, keep their values: the memory of a
  // donated one is copied.
  std::vector<Array> operator()(const std::vector<Array>& arguments, Stream stream = {}) const;
  // The same, for a state that goes round, such as a KV cache: the memory of a donated argument that nobody else holds
  // is taken over, and the argument becomes the handle of a result of its type and is empty afterwards. When the call
  // throws, the arguments are as they were.
  std::vector<Array> operator()(std::vector<Array>&& arguments, Stream stream = {}) const;
  // f(x, std::move(state)): moved arguments are given up. Lists in braces copy what they hold.
  template <class... Arrays>
    requires(sizeof...(Arrays) > 0 && (std::is_same_v<std::remove_cvref_t<Arrays>, Array> && ...))
  std::vector<Array> operator()(Arrays&&... arguments) const {
    std::vector<Array> list;
    list.reserve(sizeof...(Arrays));
    (list.push_back(std::forward<Arrays>(arguments)), ...);
    return (*this)(std::move(list));
  }
  // The traced graph for these arguments, without running anything; it lives as long as the function.
  const Graph& graph(const std::vector<Array>& arguments) const;
  std::shared_ptr<Executable> executable(const std::vector<Array>& arguments) const;
  // The arguments that a call with these gives up, ascending.
  std::vector<int> donated(const std::vector<Array>& arguments) const;
  int signatures() const;  // how many were traced

 private:
  friend CompiledFunction compile(ArrayFunction function, CompileOptions options);
  friend CompiledFunction compile(Graph graph, std::vector<int> donate);
  struct Signature;
  struct State;
  State& checked_state() const;

  std::shared_ptr<State> state_;
};

LAZULI_API CompiledFunction compile(ArrayFunction function, CompileOptions options = {});
// The function that a graph is, of arguments of its inputs' types alone, and of every size where these name an axis: a
// call with others throws an Error that names the argument, what it is and what was expected. `donate` as in
// CompileOptions. Throws an Error for a graph that is broken, or whose constants hold no data.
LAZULI_API CompiledFunction compile(Graph graph, std::vector<int> donate = {});

}  // namespace lazuli
