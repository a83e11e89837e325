// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/hash.h>
#include <lazuli/graph/base/near_matches.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/verify.h>
#include <lazuli/tools/support/errors.h>
#include <lazuli/tools/support/graph_file.h>
#include <lazuli/tools/support/options.h>
#include <lazuli/tools/support/random_array.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <system_error>

namespace lazuli::tool {
namespace {

// The length before a safetensors header is less than 2^56, so that its last byte is 0, which no text holds.
bool is_saved_function(const std::string& path) {
  constexpr std::size_t length_bytes = 8;
  char start[length_bytes] = {1, 1, 1, 1, 1, 1, 1, 1};
  std::ifstream(path, std::ios::binary).read(start, length_bytes);
  return start[length_bytes - 1] == 0;
}

Graph read_text_graph(const std::string& path) {
  Graph graph;
  try {
    graph = parse_graph(read_file(path));
    verify(graph, "reading it");
  } catch (const CompileError& error) {
    fail("{}: the graph is not valid: {}", path, error.what());
  } catch (const Error& error) {
    const std::string text = error.what();
    throw Error(text.starts_with(path) ? text : fmt::format("{}: {}", path, text));
  }
  std::int64_t seed = 0;
  for (GraphNode& node : graph.nodes)
    if (node.op == Op::constant) {
      // As weights usually are: products with them stay in the order of magnitude of what is multiplied.
      const Shape& shape = node.type().shape;
      const double size = shape.empty() ? 1.0 : static_cast<double>(std::max<std::int64_t>(shape.back(), 1));
      const double spread = shape.size() < 2 ? 1.0 : 1.0 / std::sqrt(size);
      node.constant = random_buffer(node.type(), ValueRange{-spread, spread}, --seed);
    }
  return graph;
}

double parse_value(std::string_view option, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail_usage("--input {}: \"{}\" is no number; expected NAME=VALUE or NAME=LOW:HIGH", option, text);
  return value;
}

// What --input says of each input, by its place.
class Ranges {
 public:
  Ranges(const Graph& graph, const std::vector<std::string>& options) {
    for (const ValueId input : graph.inputs()) names_.push_back(graph.node(input).label);
    for (const std::string& option : options) add(option);
  }

  std::optional<ValueRange> of(std::size_t input) const {
    const auto found = ranges_.find(input);
    return found == ranges_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  void add(const std::string& option) {
    const std::size_t equals = option.rfind('=');
    if (equals == std::string::npos || equals == 0)
      fail_usage("--input {}: expected NAME=VALUE or NAME=LOW:HIGH", option);
    const std::string_view value = std::string_view(option).substr(equals + 1);
    const std::size_t colon = value.find(':');
    ValueRange range;
    range.low = parse_value(option, value.substr(0, colon));
    range.high = colon == value.npos ? range.low : parse_value(option, value.substr(colon + 1));
    if (!(range.low <= range.high)) fail_usage("--input {}: the range is empty", option);
    if (!ranges_.emplace(find(option.substr(0, equals)), range).second)
      fail_usage("--input {}: the input is given twice", option);
  }

  std::size_t find(const std::string& name) const {
    const auto named = std::find(names_.begin(), names_.end(), name);
    if (named != names_.end()) return static_cast<std::size_t>(named - names_.begin());
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (error == std::errc() && end == name.data() + name.size() && index < names_.size()) return index;
    fail_usage("--input: the graph has no input \"{}\"{}; expected a name, or a number below {}", name,
               near_matches_text(name, names_), names_.size());
  }

  std::vector<std::string> names_;
  std::map<std::size_t, ValueRange> ranges_;
};

ValueRange default_range(DType dtype) {
  if (is_real(dtype) || is_quantised(dtype)) return {-1, 1};
  return info(dtype).kind == DTypeKind::boolean ? ValueRange{0, 2} : ValueRange{0, 0};
}

}  // namespace

void add_graph_options(CLI::App& command, GraphOptions& options) {
  command
      .add_option("--graph", options.path,
                  "a graph in place of a model: a file of lazuli::save or `lazuli graph --save`, or a graph as text, "
                  "whose constants get random values")
      ->type_name("FILE");
  command
      .add_option("--input", options.inputs,
                  "values of an input of the graph, by name or number: NAME=VALUE or NAME=LOW:HIGH (default: reals in "
                  "[-1, 1), integers 0)")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
}

void check_subject(const CLI::App& command, const CommonOptions& common, const GraphOptions& graph,
                   std::vector<std::string> model_options) {
  const std::string& name = command.get_name();
  if (!graph.given()) {
    if (!graph.inputs.empty()) fail_usage("--input: only graphs of files have such inputs; expected --graph FILE");
    if (common.model.empty()) fail_usage("{}: no model given; expected -m MODEL, or --graph FILE", name);
    return;
  }
  if (!common.model.empty()) fail_usage("{}: -m and --graph are given; expected one of them", name);
  for (const char* option : {"--chunk", "--ctx", "--altup", "--kv"}) model_options.emplace_back(option);
  for (const std::string& option : model_options)
    if (command.count(option) > 0) fail_usage("{}: it is a matter of models; --graph has none", option);
}

GraphFile::GraphFile(const GraphOptions& options) : name_(options.path.substr(options.path.rfind('/') + 1)) {
  std::vector<int> donated;
  Graph graph = is_saved_function(options.path) ? load_graph(options.path, &donated) : read_text_graph(options.path);
  if (graph.outputs.empty()) fail("{}: the graph returns nothing", options.path);
  const Ranges ranges(graph, options.inputs);
  for (const ValueId input : graph.inputs()) {
    const Type& type = graph.type(input);
    const std::size_t index = arguments_.size();
    const ValueRange range = ranges.of(index).value_or(default_range(type.dtype));
    arguments_.push_back(Array::from(random_buffer(type, range, static_cast<std::int64_t>(index)), type));
  }
  function_ = compile(std::move(graph), std::move(donated));
}

std::string GraphFile::shape() const {
  Graph bare = graph();
  for (GraphNode& node : bare.nodes) node.constant.reset();
  return fmt::format("graph {:016x}", fnv1a(structural_key(bare, NumberKey::none)));
}

// Memory of one's own for what is given up, so that calls by turns do not take it from each other.
GraphCalls::GraphCalls(const GraphFile& file) : function_(file.function()), arguments_(file.arguments()) {
  for (const int index : function_.donated(arguments_)) {
    Array& argument = arguments_[static_cast<std::size_t>(index)];
    BufferRef copy = Buffer::allocate(static_cast<std::size_t>(argument.type().bytes()));
    std::copy_n(argument.bytes(), copy->size(), copy->data());
    argument = Array::from(std::move(copy), argument.type());
  }
}

std::vector<Array> GraphCalls::call() {
  std::vector<const Node*> nodes;
  for (const Array& argument : arguments_) nodes.push_back(argument.node().get());
  std::vector<Array> results = function_(std::move(arguments_));
  for (const Array& result : results) wait(result);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (!arguments_[i].defined())  // NOLINT(bugprone-use-after-move): the call takes elements, not the vector
      arguments_[i] = *std::find_if(results.begin(), results.end(),
                                    [&](const Array& result) { return result.node().get() == nodes[i]; });
  return results;
}

int GraphCalls::count_for_sample() {
  using Clock = std::chrono::steady_clock;
  constexpr double sample_seconds = 4e-3;
  constexpr int most = 1000;
  call();
  const auto start = Clock::now();
  call();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return seconds * most <= sample_seconds ? most : std::max(1, static_cast<int>(std::ceil(sample_seconds / seconds)));
}

}  // namespace lazuli::tool
