// SPDX-License-Identifier: MIT
// Builds one random graph, node by node. What is built, which sizes it has and what its operands hold are drawn from
// three streams, so that graphs of one structure can differ in sizes and values: their kernels are the same.
#pragma once

#include <lazuli/graph/graph.h>
#include <lazuli/tests/fuzz/graphs/random.h>
#include <lazuli/tests/fuzz/graphs/values.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lazuli::fuzz {

// A graph and what its inputs hold, by their index.
struct RandomGraph {
  Graph graph;
  std::vector<BufferRef> inputs;
};

// Without nodes and inputs that no output needs; inputs are counted anew.
RandomGraph compacted(const RandomGraph& from);

struct Streams {
  Random choice, sizes, values;
};

// Which dtypes an operand may have.
using DTypes = std::function<bool(DType)>;
bool is_plain(DType dtype);
bool is_number(DType dtype);
bool is_real_32(DType dtype);

class Builder {
 public:
  // `most_elements` of any value.
  Builder(Streams streams, std::int64_t most_elements);
  // Of the body of a node of `around`: its leaves are parameters and numbers.
  Builder(Builder& around, const std::vector<Type>& parameters);

  Random choice, sizes, values;

  // Leaves. In a body, where there are none with values, a number stands for all elements.
  ValueId leaf(const Type& type, std::optional<Values> kind = std::nullopt);  // an input or a constant
  ValueId constant(const Type& type, Values kind);
  ValueId indices(Shape shape, std::int64_t low, std::int64_t high);  // i32, constant at times
  ValueId number(double value, DType dtype);
  double some_number(DType dtype);

  // An operand: mostly a value that is there, the later the likelier.
  ValueId any(const DTypes& dtypes, std::size_t least_rank = 0);
  ValueId of(DType dtype, std::size_t least_rank = 0);
  // One that broadcasts together with `x`.
  ValueId partner(ValueId x, DType dtype);
  // A leaf seen transposed, in steps, from its end or spread, at times.
  ValueId viewed_leaf(const Type& type);

  DType dtype(const DTypes& allowed);
  std::int64_t size();   // of the graph's few sizes
  std::int64_t a_few();  // 1 to 4
  Shape shape(std::size_t least_rank = 0, std::size_t most_rank = 4);

  // Appends a node, all of whose results become operands of later ones. False, and nothing has changed, where its types
  // do not fit or are too large.
  bool add(Op op, Attrs attrs, std::vector<ValueId> inputs);
  bool add_fused(std::vector<ValueId> inputs, Graph body);
  ValueId last() const { return operands_.back(); }
  void offer(ValueId value) { operands_.push_back(value); }  // as an operand

  const Type& type(ValueId value) const { return graph_.type(value); }
  const Shape& shape_of(ValueId value) const { return type(value).shape; }
  const std::vector<ValueId>& operands() const { return operands_; }
  Graph& graph() { return graph_; }
  int depth() const { return depth_; }
  bool in_body() const { return depth_ > 0; }
  void scope(Scope::Ref scope) { scope_ = std::move(scope); }

  // What nothing reads are the outputs, the last ones where there are more, and at times another value.
  RandomGraph finish(int most_outputs);
  // A value of this type: one that is there, or, in a body, its parameter.
  std::optional<ValueId> latest_of(const Type& type, std::size_t least = 0) const;

 private:
  ValueId append(GraphNode node);

  Graph graph_;
  std::vector<BufferRef> inputs_;
  std::vector<ValueId> operands_;
  std::vector<std::int64_t> palette_;
  std::int64_t most_elements_;
  int depth_ = 0;
  Scope::Ref scope_;
};

}  // namespace lazuli::fuzz
