// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/graph/types/scalar_value.h>
#include <lazuli/passes/fold_constants.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>
#include <cstring>

namespace lazuli {

BufferRef FoldCache::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = buffers_.find(key);
  return found == buffers_.end() ? nullptr : found->second.lock();
}

void FoldCache::insert(std::string key, BufferRef buffer) {
  const std::lock_guard lock(mutex_);
  if (buffers_.size() >= max_buffers_) {
    std::erase_if(buffers_, [](const auto& entry) { return entry.second.expired(); });
    max_buffers_ = std::max(max_buffers_, 2 * buffers_.size());
  }
  buffers_.insert_or_assign(std::move(key), buffer);
}

namespace {

// A folded value may be larger than what it was computed from, but not so much that reading it costs more than the work
// it saves; beyond the small ones it may not grow at all.
constexpr std::int64_t max_growth = 4;
constexpr std::int64_t small_bytes = std::int64_t{64} << 20;
constexpr std::int64_t max_iota_bytes = std::int64_t{1} << 20;
constexpr std::size_t longest_label = 120;

// Ops that are folded. Products with weights stay: they read quantised data in place and belong to the run.
bool folds(Op op) {
  return is_elementwise(op) || is_reduction(op) || is_rowwise(op) || is_view(op) || op == Op::concatenate ||
         op == Op::quantise || op == Op::custom;
}

// Whether a number says what the element is: large i64 and u64 have none.
bool has_number(DType dtype, const std::byte* element) {
  if (fits_double(dtype)) return true;
  std::byte stored[sizeof(std::int64_t)];
  const double value = load_scalar(dtype, element);
  store_scalar(value, dtype, stored);
  return is_value_of(value, dtype) && std::memcmp(stored, element, sizeof stored) == 0;
}

class ConstantFolder {
 public:
  ConstantFolder(const Graph& graph, PassContext& context)
      : graph_(graph),
        context_(context),
        known_(graph.nodes.size()),
        varies_(graph.nodes.size()),
        holds_data_(graph.nodes.size()),
        source_bytes_(graph.nodes.size()),
        needed_(graph.nodes.size()),
        inner_readers_(graph.nodes.size()),
        rewriter_(graph) {}

  Graph run() {
    find_known();
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(graph_.nodes.size()); ++id) {
      if (is_root(id))
        fold(id);
      else
        rewriter_.copy(id);
    }
    return rewriter_.finish();
  }

 private:
  const GraphNode& node(std::int32_t id) const { return graph_.nodes[static_cast<std::size_t>(id)]; }
  bool known(std::int32_t id) const { return known_[static_cast<std::size_t>(id)]; }

  void find_known() {
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      const GraphNode& current = graph_.nodes[id];
      for_each_number(current.attrs, [&](const Number& number) { varies_[id] = varies_[id] || !number.is_literal(); });
      holds_data_[id] = current.op == Op::constant || current.op == Op::iota;
      for (ValueId input : current.inputs) {
        varies_[id] = varies_[id] || varies_[static_cast<std::size_t>(input.node)];
        holds_data_[id] = holds_data_[id] || holds_data_[static_cast<std::size_t>(input.node)];
      }
      switch (current.op) {
        case Op::scalar:
          known_[id] = context_.numbers.may_fix(current.as<ScalarAttrs>().value);
          break;
        case Op::constant:
          known_[id] = current.constant && !is_quantised(current.type().dtype);
          break;
        case Op::iota:
          known_[id] = current.type().bytes() <= max_iota_bytes;
          break;
        default:
          known_[id] = follows(current) && stays_small(id);
      }
      if (current.inputs.empty()) source_bytes_[id] = current.type().bytes();
      if (known_[id])
        for (ValueId input : current.inputs) ++inner_readers_[static_cast<std::size_t>(input.node)];
    }
    for (ValueId output : graph_.outputs) needed_[static_cast<std::size_t>(output.node)] = true;
    for (std::size_t id = graph_.nodes.size(); id-- > 0;) {
      const bool passes_on = !known_[id] || (needed_[id] && is_view(graph_.nodes[id].op));
      if (!passes_on) continue;
      for (ValueId input : graph_.nodes[id].inputs) needed_[static_cast<std::size_t>(input.node)] = true;
    }
  }

  bool follows(const GraphNode& current) const {
    bool may_fix = true;
    for_each_number(current.attrs,
                    [&](const Number& number) { may_fix = may_fix && context_.numbers.may_fix(number); });
    return may_fix && !current.inputs.empty() && folds(current.op) && can_compute(current) &&
           std::all_of(current.inputs.begin(), current.inputs.end(), [&](ValueId input) { return known(input.node); });
  }

  // Without a kernel a custom op is folded once it is spelled out.
  bool can_compute(const GraphNode& current) const {
    return current.op != Op::custom || (current.types.size() == 1 && !is_quantised(current.type().dtype) &&
                                        context_.can_run(current.op, current.attrs, operand_types(graph_, current)));
  }

  // Compares with the largest constant the value comes from.
  bool stays_small(std::size_t id) {
    std::int64_t& source = source_bytes_[id];
    for (ValueId input : graph_.nodes[id].inputs)
      source = std::max(source, source_bytes_[static_cast<std::size_t>(input.node)]);
    const std::int64_t bytes = graph_.nodes[id].type().bytes();
    return bytes <= source || (bytes <= max_growth * source && bytes <= small_bytes);
  }

  // What comes of numbers alone is computed in each run: folded, it would be compiled anew for every value.
  bool is_cheap_anew(std::int32_t id) const {
    return varies_[static_cast<std::size_t>(id)] && !holds_data_[static_cast<std::size_t>(id)];
  }

  // Values are folded where they leave the known part, and where two of its nodes read them, so that each is computed
  // once. Views fold into what reads them or stay views: they cost nothing.
  bool is_root(std::int32_t id) const {
    if (!known(id) || is_leaf(node(id).op) || is_view(node(id).op) || is_cheap_anew(id)) return false;
    return needed_[static_cast<std::size_t>(id)] || inner_readers_[static_cast<std::size_t>(id)] > 1;
  }

  // What stands for a known node in the new graph: a leaf, if it is one or has been folded.
  const GraphNode& rewritten(std::int32_t id) { return rewriter_.result().node(rewriter_.mapped({id, 0})); }
  bool is_boundary(std::int32_t id) { return rewritten(id).inputs.empty(); }

  void fold(std::int32_t id) {
    const Graph subgraph = fixed(cut(id));
    std::string key = structural_key(subgraph);
    BufferRef buffer = context_.folded ? context_.folded->find(key) : nullptr;
    if (!buffer) {
      try {
        buffer = context_.evaluate(subgraph)[0];
      } catch (const ExecutionError&) {  // belongs to those who ask for the value, who run into it themselves
        rewriter_.copy(id);
        return;
      }
      if (context_.folded) context_.folded->insert(std::move(key), buffer);
    }
    rewriter_.map({id, 0}, rewriter_.add(leaf(id, subgraph, std::move(buffer))));
  }

  // The values stay what they are for all runs of the program.
  Graph fixed(Graph subgraph) {
    for (GraphNode& part : subgraph.nodes)
      for_each_number(part.attrs, [&](Number& number) {
        context_.numbers.fix(number);
        number.slot = Number::literal;
      });
    return subgraph;
  }

  GraphNode leaf(std::int32_t id, const Graph& subgraph, BufferRef buffer) const {
    const GraphNode& old = node(id);
    GraphNode folded;
    folded.types = old.types;
    folded.scope = old.scope;
    for (const GraphNode& part : subgraph.nodes)
      folded.from.insert(folded.from.end(), part.from.begin(), part.from.end());
    std::ranges::sort(folded.from, {}, &Source::node);
    const auto repeated = std::ranges::unique(folded.from, {}, &Source::node);
    folded.from.erase(repeated.begin(), repeated.end());
    if (old.type().shape.empty() && has_number(old.type().dtype, buffer->data())) {
      folded.op = Op::scalar;
      folded.attrs = ScalarAttrs{load_scalar(old.type().dtype, buffer->data()), old.type().dtype};
    } else {
      folded.op = Op::constant;
      folded.constant = std::move(buffer);
      folded.label = label_of(subgraph);
    }
    return folded;
  }

  // The nodes between leaves (or values folded before) and the root, as a graph of their own.
  Graph cut(std::int32_t root) {
    std::vector<std::int32_t> ids, pending{root};
    while (!pending.empty()) {
      const std::int32_t id = pending.back();
      pending.pop_back();
      ids.push_back(id);
      if (id != root && is_boundary(id)) continue;
      for (ValueId input : node(id).inputs) pending.push_back(input.node);
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    Graph subgraph;
    for (std::int32_t id : ids) {
      GraphNode copy = id != root && is_boundary(id) ? rewritten(id) : node(id);
      for (ValueId& input : copy.inputs)
        input.node = static_cast<std::int32_t>(std::lower_bound(ids.begin(), ids.end(), input.node) - ids.begin());
      subgraph.add(std::move(copy));
    }
    subgraph.outputs = {{static_cast<std::int32_t>(subgraph.nodes.size()) - 1, 0}};
    return subgraph;
  }

  // "1 + blk.0.attn_norm.weight"
  static std::string label_of(const Graph& subgraph) {
    std::vector<std::string> texts;
    for (const GraphNode& part : subgraph.nodes) {
      std::vector<std::string> operands;
      for (ValueId input : part.inputs) operands.push_back(texts[static_cast<std::size_t>(input.node)]);
      texts.push_back(text_of(part, operands));
      if (texts.back().size() > longest_label) texts.back() = texts.back().substr(0, longest_label) + "...";
    }
    return texts.back();
  }

  static std::string text_of(const GraphNode& part, const std::vector<std::string>& operands) {
    if (part.op == Op::scalar) return fmt::format("{}", part.as<ScalarAttrs>().value.value);
    if (part.inputs.empty()) return part.label.empty() ? std::string(part.name()) : part.label;
    if (is_view(part.op) || part.op == Op::cast) return operands[0];
    const std::string_view sign = part.op == Op::add   ? "+"
                                  : part.op == Op::sub ? "-"
                                  : part.op == Op::mul ? "*"
                                  : part.op == Op::div ? "/"
                                                       : "";
    if (!sign.empty()) return fmt::format("{} {} {}", nested(operands[0]), sign, nested(operands[1]));
    return fmt::format("{}({})", part.name(), fmt::join(operands, ", "));
  }
  static std::string nested(const std::string& text) {
    const bool is_word = text.find(' ') == std::string::npos || text.back() == ')';
    return is_word ? text : "(" + text + ")";
  }

  const Graph& graph_;
  PassContext& context_;
  std::vector<bool> known_;       // follows from constants alone, and is no larger than it should be
  std::vector<bool> varies_;      // a number with a slot is in it
  std::vector<bool> holds_data_;  // more than numbers is in it
  std::vector<std::int64_t> source_bytes_;
  std::vector<bool> needed_;        // read by something that is not known, if only through views
  std::vector<int> inner_readers_;  // known nodes that read it
  GraphRewriter rewriter_;
};

}  // namespace

Graph fold_constants(Graph graph, PassContext& context) {
  if (!context.evaluate) return graph;
  return ConstantFolder(graph, context).run();
}

}  // namespace lazuli
