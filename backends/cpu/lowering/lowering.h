// Lowering: a finished graph becomes buffers and steps. Views dissolve into strides, each remaining node into the
// kernel launches that compute it.
#pragma once

#include <lazuli/backends/backend.h>
#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/options.h>
#include <lazuli/backends/cpu/program/lowered.h>
#include <lazuli/backends/cpu/weights/weight_store.h>
#include <lazuli/passes/verdict.h>

#include <map>
#include <span>

namespace lazuli {
struct FusionChoice;
struct PanelKernel;
}  // namespace lazuli

namespace lazuli::cpu {

struct Product;

// What lowering uses of the backend.
struct Tools {
  LoopCompiler& loops;
  WeightStore& weights;
  Executor& executor;
  Isa isa;
  Precision precision;
  const FusionChoice& fusion;
  std::int64_t split_bytes;
  const VerdictSink& verdicts;
};

class Lowering {
 public:
  Lowering(const Graph& graph, std::span<const bool> donated, const Tools& tools);
  // Throws a CompileError that names the node no kernel takes.
  Lowered lower();

 private:
  // Graph walking (lowering.cc)
  void lower_node(std::int32_t id);
  void lower_view(std::int32_t id);
  void lower_leaf(std::int32_t id);
  void finish_outputs();
  std::int64_t last_reader_of_root(ValueId value) const;
  void share_long_steps();
  void find_roots();

  // Memory
  int add_buffer(BufferKind kind, Type type, std::string name);
  int add_scratch(std::int64_t bytes, std::string name);
  int add_constant(BufferRef data, Type type, std::string name);
  View new_array(Type type, std::string name);
  // The buffer for result `output` of a node: the caller's memory where the value is a result of the graph.
  View result_view(std::int32_t id, std::int32_t output = 0);
  const View& view(ValueId value) const;
  void set_view(ValueId value, View view) { views_[value] = std::move(view); }
  View contiguous_input(std::int32_t id, std::size_t operand);  // copies where memory is strided
  View copy_to_contiguous(const View& source, std::int32_t id);
  View converted_input(std::int32_t id, std::size_t operand, DType dtype);  // contiguous and of this dtype
  BufferRef constant_data(ValueId value) const;

  // Steps
  Step& add_step(std::int32_t id, std::string_view name, KernelUse kernel, std::vector<int> reads,
                 std::vector<int> writes);
  // Declares that the units of a step that has its `run` are `rows_at_once` rows each, of `rows` (the last unit may
  // reach past them), and touch the same rows of these arrays and nothing else of them. `others` are buffers whose rows
  // only their kernels know.
  void divide_by_rows(Step& step, std::initializer_list<View> arrays, std::initializer_list<int> others,
                      std::int64_t rows, std::int64_t rows_at_once = 1) const;
  const GraphNode& node(std::int32_t id) const { return graph_.nodes[static_cast<std::size_t>(id)]; }
  // Whoever asks is told that `fusion` made one launch of `nodes`, or why it did not.
  void note(std::string_view fusion, const std::vector<std::int32_t>& nodes, std::string reason) const;
  [[noreturn]] void reject(std::int32_t id, const std::string& why) const;

  // loop_steps.cc: elementwise, reductions, fused bodies, copies
  void lower_loop(std::int32_t id);
  void lower_reduction(std::int32_t id);
  void lower_softmax(std::int32_t id);
  void lower_body(std::int32_t id, const Graph& body, std::span<const View> operands, std::span<const View> results) {
    add_loop(id, body, operands, results, nullptr);
  }
  // With `by_columns`, which it fills in, the loop keeps the last axis as its columns and divides along them.
  void add_loop(std::int32_t id, const Graph& body, std::span<const View> operands, std::span<const View> results,
                Division* by_columns);
  Graph loop_body(std::int32_t id) const;
  void lower_copy(std::int32_t id, const View& source, const View& target);

  // linear_steps.cc
  void lower_linear(std::int32_t id);
  void lower_linear_f32(std::int32_t id, const View& x, const View& y, const View& weight);
  void lower_matmul(std::int32_t id);

  // product_steps.cc: linear with a constant weight in the layout of the kernels
  enum class OperandForm : std::uint8_t { real, int8, tiles };
  void plan_products();
  bool is_packed_linear(std::int32_t id) const;
  bool is_narrow_linear(std::int32_t id) const;
  OperandForm operand_form(std::int32_t id) const;
  const PanelKernel* panel_of(std::int32_t id) const;  // null: the program multiplies this weight in int8 or f32
  Product make_product(std::int32_t id, const View& y, PanelOrder order);
  std::vector<std::int32_t> products_beside(std::int32_t id) const;
  void lower_products(std::int32_t id);
  void divide_narrow_product(Step& step, const Product& product);
  Step& add_products(std::vector<Product> products);
  static Run columns_of(const Product& product);
  int quantised_rows_of(std::int32_t id, const View& x);
  int tiled_rows_of(std::int32_t id, const View& x);

  // linear_epilogue.cc
  // What one chain consists of: linears, the node that reads them, and what becomes of its result.
  struct Epilogue {
    std::vector<std::int32_t> products;
    std::vector<std::int32_t> readers;  // linears whose operand form the chain makes
    std::int32_t argmax = -1;
    bool has_body = true;  // false: the node is the argmax itself
  };
  void plan_epilogues();
  std::string why_not_in_epilogue(ValueId value, std::int32_t reader, const UseCounts& uses) const;
  bool is_chain_end(std::int32_t id) const;
  Epilogue find_epilogue(std::int32_t id, const UseCounts& uses) const;
  void plan_tail(std::int32_t id, Epilogue& epilogue, const UseCounts& uses,
                 const std::vector<std::vector<std::int32_t>>& readers) const;
  bool belongs_to_merged_step(const Epilogue& epilogue) const;
  std::int64_t epilogue_width(const Epilogue& epilogue, std::int64_t rows, std::int64_t columns,
                              std::int64_t granule) const;
  bool stays_in_panels(std::int32_t id, const Epilogue& epilogue) const;
  void lower_epilogue(std::int32_t id);
  Division lower_epilogue_body(std::int32_t id, const std::map<ValueId, View>& tiles, const View* in_place,
                               PanelOrder order);
  Division add_operand_columns(std::int32_t reader, const View& x, std::int64_t rows, std::int64_t columns,
                               PanelOrder order);
  Division add_argmax_columns(std::int32_t id, const View& x, const View& maxima);

  // expert_steps.cc
  struct ExpertCall;
  void lower_expert_linear(std::int32_t id);
  void choose_expert_kernel(std::int32_t id, ExpertCall& call);
  void lower_experts_of_one_token(std::int32_t id, const ExpertCall& call);
  void lower_experts_sorted(std::int32_t id, const ExpertCall& call);
  Step& add_expert_step(std::int32_t id, const ExpertCall& call, std::vector<int> reads, int target);

  // move_steps.cc
  void lower_concatenate(std::int32_t id);
  void lower_slice_update(std::int32_t id);
  void lower_take(std::int32_t id);
  void lower_gather(std::int32_t id);
  void lower_generator(std::int32_t id);  // iota, random

  // sequence_steps.cc
  void lower_rope(std::int32_t id);
  int rope_turns_of(std::int32_t id);
  void lower_attention(std::int32_t id);
  void lower_argmax(std::int32_t id);
  // Of `ranges` maxima a row, the first largest.
  void add_argmax_combine(std::int32_t id, const View& maxima, std::int64_t ranges);
  void lower_top_k(std::int32_t id);

  const Graph& graph_;
  std::span<const bool> donated_;
  const Tools& tools_;
  Lowered result_;
  std::map<ValueId, View> views_;
  std::map<ValueId, int> output_index_;  // values written straight into a result
  // A contiguous matrix in memory. Views of one operand may begin at the same element and still differ.
  struct Rows {
    int buffer;
    std::int64_t offset, rows, cols;
    auto operator<=>(const Rows&) const = default;
  };
  std::map<Rows, int> quantised_, tiled_;  // x -> the buffer of its int8 rows, its bf16 tiles
  // What the sines and cosines of rope depend on.
  struct Turns {
    ValueId positions, factors;
    double base, scale;
    std::int64_t width, pairs;
    auto operator<=>(const Turns&) const = default;
  };
  std::map<Turns, int> turns_;                                 // -> their buffer
  std::vector<bool> lowered_;                                  // nodes whose steps were added before their turn
  std::map<ValueId, std::vector<std::int32_t>> readers_of_x_;  // packed linears by their first operand
  std::vector<std::int32_t> epilogue_of_;                      // the node in whose chain a linear runs; -1: none
  std::map<std::int32_t, Epilogue> epilogues_;                 // by the node they end in
  std::vector<std::int32_t> root_;                             // the node whose memory a node's value lives in
  std::vector<std::int64_t> last_read_;                        // of each root: the last node that reads its memory
};

}  // namespace lazuli::cpu
