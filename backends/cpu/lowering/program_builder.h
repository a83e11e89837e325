// SPDX-License-Identifier: MIT
// What lowering builds a program with: buffers, views onto them, steps. It knows no op: the files of each family of ops
// (loop_steps.h, linear_steps.h, ...) add the steps that compute theirs.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/backends/cpu/options.h>
#include <lazuli/backends/cpu/program/lowered.h>
#include <lazuli/backends/cpu/weights/weight_store.h>
#include <lazuli/graph/dimensions.h>
#include <lazuli/passes/verdict.h>
#include <lazuli/passes/verdict_sink.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <typeindex>

namespace lazuli {
struct FusionChoice;
}  // namespace lazuli

namespace lazuli::cpu {

// What lowering uses of the backend.
struct Tools {
  LoopCompiler& loops;
  int workers;
  Isa isa;
  Precision precision;
  const FusionChoice& fusion;
  std::int64_t split_bytes;
  const VerdictSink& verdicts;
};

class ProgramBuilder {
 public:
  ProgramBuilder(const Graph& graph, std::span<const int> donated, const Tools& tools);
  // Of a body inside what `around` builds: it adds to the buffers, weights and uses of numbers of that, which has them
  // back with `end_body`; steps and results are its own. `donated` are inputs whose memory the body may write to.
  ProgramBuilder(const Graph& body, std::span<const int> donated, const Tools& tools, ProgramBuilder& around);
  void end_body();

  const Graph& graph() const { return graph_; }
  const GraphNode& node(std::int32_t id) const { return graph_.nodes[static_cast<std::size_t>(id)]; }
  const Type& type(ValueId value) const { return graph_.type(value); }
  const Tools& tools() const { return tools_; }
  int workers() const { return tools_.workers; }
  const std::vector<NamedSize>& dimensions() const { return dimensions_; }
  // So many rows, or other parts of equal size, of a value of this type: in a run, as many as its named axis leaves.
  Extent extent(const Type& type, std::int64_t count) const;
  // Of the first result of a node.
  Extent extent(std::int32_t id, std::int64_t count) const { return extent(node(id).type(), count); }
  bool is_donated(int input) const { return std::binary_search(donated_.begin(), donated_.end(), input); }

  // Memory
  int add_buffer(BufferKind kind, Type type, std::string name);
  int add_scratch(std::int64_t bytes, std::string name);
  int add_constant(BufferRef data, Type type, std::string name);
  // A constant in a form that kernels read, to be laid out before the program first runs. `packed` is what kernels are
  // given; it is filled in by then and lives as long as the program.
  struct PackedConstant {
    int buffer;
    const PackedWeightView* packed;
  };
  PackedConstant add_packed(const GraphNode& constant);
  View add_dequantised(const GraphNode& constant);
  View new_array(Type type, std::string name);
  // The buffer for result `output` of a node: the caller's memory where the value is a result of the graph.
  View result_view(std::int32_t id, std::int32_t output = 0);
  BufferInfo& buffer(int index) { return program_.buffers[static_cast<std::size_t>(index)]; }
  const BufferInfo& buffer(int index) const { return program_.buffers[static_cast<std::size_t>(index)]; }
  // Whether it was added for this graph. What a body sees of the memory around it is not its to write.
  bool owns(int index) const { return index >= first_own_buffer_; }
  bool is_body() const { return around_ != nullptr; }
  // Whether the view is the whole of its buffer, element after element.
  bool is_whole(const View& view) const;

  // Where a value lies, once the node that makes it is lowered.
  const View& view(ValueId value) const;
  const View& operand(std::int32_t id, std::size_t index) const { return view(node(id).inputs[index]); }
  void set_view(ValueId value, View view) { views_[value] = std::move(view); }

  // A step of node `id`, without its `run`. The reference holds until the next step is added.
  Step& add_step(std::int32_t id, std::string_view name, KernelUse kernel, std::vector<int> reads,
                 std::vector<int> writes);
  // Declares that the units of a step that has its `run` are `rows_at_once` rows each, of `rows` (the last unit may
  // reach past them), and touch the same rows of these arrays and nothing else of them. `others` are buffers whose rows
  // only their kernels know.
  void divide_by_rows(Step& step, std::initializer_list<View> arrays, std::initializer_list<int> others,
                      std::int64_t rows, std::int64_t rows_at_once = 1) const;

  // What a step keeps of the numbers of a run. Called now without values, for those of the graph, and before each run
  // whose values are others than those of the run before.
  void on_numbers(NumberUse use);

  // Whoever asks is told that `fusion` made one launch of `nodes`, or why it did not.
  void note(std::string_view fusion, const std::vector<std::int32_t>& nodes, std::string reason) const;
  // Throws a CompileError that names the node.
  [[noreturn]] void reject(std::int32_t id, const std::string& why) const;

  // What one family of ops remembers while a graph is lowered: a struct of its own, empty when first asked for.
  template <class State>
  State& state() {
    std::shared_ptr<void>& slot = states_[typeid(State)];
    if (!slot) slot = std::make_shared<State>();
    return *static_cast<State*>(slot.get());
  }

  // What has been built so far.
  Lowered& program() { return program_; }

 private:
  const Graph& graph_;
  std::span<const int> donated_;
  const Tools& tools_;
  const std::vector<NamedSize> dimensions_;
  ProgramBuilder* around_ = nullptr;
  int first_own_buffer_ = 0;
  Lowered program_;
  std::map<ValueId, View> views_;
  std::map<ValueId, int> output_index_;  // values written straight into a result
  std::map<std::type_index, std::shared_ptr<void>> states_;
};

}  // namespace lazuli::cpu
