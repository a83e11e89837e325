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
#include <vector>

namespace lazuli {

// A compiled graph, owned by the evaluator that made it.
class LAZULI_API Executable {
 public:
  virtual ~Executable() = default;
};

struct LAZULI_API Operand {
  Result value;
  bool donated = false;  // the caller gives the array up: its memory may become a result
};

class LAZULI_API Evaluator {
 public:
  Evaluator();
  virtual ~Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Never reused within the process, unlike an address: executables outlive the evaluator that made them.
  std::uint64_t id() const { return id_; }

  // Passes and backend; returns the same executable for the same structure.
  virtual std::shared_ptr<Executable> prepare(const Graph& graph, std::span<const bool> donated) = 0;
  // A compiled function is about to look its program up. For evaluators that time the parts of a step.
  virtual void begin_lookup() {}
  // Runs on `stream`. Results are allocated at once, so that they can be operands of the next call before they are
  // computed. With `wait` the call returns when they hold their values; otherwise their events say so.
  virtual std::vector<Result> run(const std::shared_ptr<Executable>& executable, std::vector<Operand> operands,
                                  int stream, bool wait) = 0;

 private:
  const std::uint64_t id_;
};

// The evaluator of this thread. A Session installs itself; without one, evaluation throws an Error that says so.
LAZULI_API Evaluator& current_evaluator();
LAZULI_API bool has_evaluator();
// Makes `evaluator` current on this thread for the life of the object.
class LAZULI_API UseEvaluator {
 public:
  explicit UseEvaluator(Evaluator& evaluator);
  ~UseEvaluator();
  UseEvaluator(const UseEvaluator&) = delete;
  UseEvaluator& operator=(const UseEvaluator&) = delete;

 private:
  Evaluator* previous_;
};

// An ordered queue of work; work on different streams may overlap. Stream 0 is the default.
struct LAZULI_API Stream {
  int index = 0;
};

// Computes the arrays. async_eval returns at once; wait() or data() wait for what they need and rethrow what failed.
// An input whose last handle is inside the graph is donated.
LAZULI_API void eval(std::span<const Array> arrays);
LAZULI_API void async_eval(std::span<const Array> arrays, Stream stream = {});
inline void eval(std::initializer_list<Array> arrays) { eval(std::span(arrays.begin(), arrays.size())); }
inline void async_eval(std::initializer_list<Array> arrays, Stream stream = {}) {
  async_eval(std::span(arrays.begin(), arrays.size()), stream);
}
LAZULI_API void wait(const Array& array);

// A function of arrays that is traced once per signature (dtypes and shapes of the arguments) and then only run.
using ArrayFunction = std::function<std::vector<Array>(const std::vector<Array>&)>;

struct LAZULI_API CompileOptions {
  std::vector<int> donate;  // arguments given up by each call
  Phase phase = Phase::any;
  std::vector<std::string> argument_names;  // for listings
};

// A copy shares what was traced, and calls reorder it: a compiled function and its copies are used from one thread at a
// time. Threads that call at once compile one each.
class LAZULI_API CompiledFunction {
 public:
  // Computes asynchronously; a donated argument must not be used afterwards.
  std::vector<Array> operator()(const std::vector<Array>& arguments, Stream stream = {}) const;
  // The same, for a state that goes round, such as a KV cache: a donated argument that nobody else holds becomes the
  // handle of a result of its type and is empty afterwards. When the call throws, the arguments are as they were.
  std::vector<Array> operator()(std::vector<Array>&& arguments, Stream stream = {}) const;
  // The traced graph for these arguments, without running anything.
  const Graph& graph(const std::vector<Array>& arguments) const;
  std::shared_ptr<Executable> executable(const std::vector<Array>& arguments) const;
  int signatures() const;  // how many were traced

 private:
  friend CompiledFunction compile(ArrayFunction function, CompileOptions options);
  struct State;
  std::shared_ptr<State> state_;
};

LAZULI_API CompiledFunction compile(ArrayFunction function, CompileOptions options = {});

}  // namespace lazuli
