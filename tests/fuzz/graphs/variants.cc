// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/inline_graph.h>
#include <lazuli/tests/fuzz/graphs/variants.h>

#include <algorithm>
#include <cstring>

namespace lazuli::fuzz {
namespace {

constexpr const char* names[] = {"prepared", "donated", "compiled", "lazy", "eager"};

BufferRef copy_of(const BufferRef& buffer) {
  BufferRef copy = Buffer::allocate(buffer->size());
  std::memcpy(copy->data(), buffer->data(), buffer->size());
  return copy;
}

std::vector<Array> arguments_of(const RandomGraph& graph) {
  std::vector<Array> arguments;
  for (const ValueId input : graph.graph.inputs()) {
    const auto index = static_cast<std::size_t>(graph.graph.node(input).as<InputAttrs>().index);
    arguments.push_back(Array::from(copy_of(graph.inputs[index]), graph.graph.type(input)));
  }
  return arguments;
}

std::vector<BufferRef> buffers_of(const std::vector<Array>& arrays) {
  std::vector<BufferRef> buffers;
  for (const Array& array : arrays) {
    array.bytes();  // waits
    buffers.push_back(array.node()->results()[static_cast<std::size_t>(array.output())].buffer);
  }
  return buffers;
}

std::vector<BufferRef> run_program(Session& session, const RandomGraph& graph, bool donated) {
  std::vector<int> given;
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    if (donated) given.push_back(static_cast<int>(i));
    operands.push_back({{donated ? copy_of(graph.inputs[i]) : graph.inputs[i], {}}, donated});
  }
  const std::shared_ptr<Executable> program = session.prepare(graph.graph, given);
  std::vector<BufferRef> buffers;
  for (const Result& result : session.run(program, std::move(operands), numbers_of(graph.graph), 0, true)) {
    if (result.ready) result.ready->wait();
    buffers.push_back(result.buffer);
  }
  return buffers;
}

std::vector<BufferRef> run_lazy(Session& session, const RandomGraph& graph) {
  std::vector<Array> outputs = inline_graph(graph.graph, arguments_of(graph));
  session.eval(outputs);
  return buffers_of(outputs);
}

std::vector<BufferRef> run_eager(Session& session, const RandomGraph& graph) {
  const std::vector<Array> arguments = arguments_of(graph);
  std::vector<std::vector<Array>> values;
  for (const GraphNode& node : graph.graph.nodes) {
    std::vector<Array> operands;
    for (const ValueId input : node.inputs)
      operands.push_back(values[static_cast<std::size_t>(input.node)][static_cast<std::size_t>(input.output)]);
    switch (node.op) {
      case Op::input:
        values.push_back({arguments[static_cast<std::size_t>(node.as<InputAttrs>().index)]});
        break;
      case Op::constant:
        values.push_back({Array::constant(node.constant, node.type())});
        break;
      case Op::scalar:
        values.push_back(make_node(node.op, node.attrs, {}));
        break;
      case Op::fused:
        values.push_back(inline_graph(*node.body, operands));
        session.eval(values.back());
        break;
      default:
        values.push_back(make_node(node.op, node.attrs, operands));
        session.eval(values.back());
    }
  }
  std::vector<Array> outputs;
  for (const ValueId output : graph.graph.outputs)
    outputs.push_back(values[static_cast<std::size_t>(output.node)][static_cast<std::size_t>(output.output)]);
  session.eval(outputs);
  return buffers_of(outputs);
}

std::vector<BufferRef> run_on(Session& session, const RandomGraph& graph, Way way) {
  switch (way) {
    case Way::prepared:
    case Way::donated:
      return run_program(session, graph, way == Way::donated);
    case Way::compiled: {
      std::vector<int> all;
      for (std::size_t i = 0; i < graph.inputs.size(); ++i) all.push_back(static_cast<int>(i));
      return buffers_of(session.call(compile(graph.graph, all), arguments_of(graph)));
    }
    case Way::lazy:
      return run_lazy(session, graph);
    default:
      return run_eager(session, graph);
  }
}

// Arrays have no phase.
Way possible(Way way, const Graph& graph) {
  return graph.phase != Phase::any && (way == Way::lazy || way == Way::eager) ? Way::prepared : way;
}

}  // namespace

std::string to_string(const Variant& variant) {
  return fmt::format("fusion {}, {} thread{}, {}, {}, {}", variant.fusion, variant.threads,
                     variant.threads == 1 ? "" : "s", to_string(variant.isa), to_string(variant.precision),
                     names[static_cast<std::size_t>(variant.way)]);
}

std::vector<Type> output_types(const Graph& graph) {
  std::vector<Type> types;
  for (const ValueId output : graph.outputs) types.push_back(graph.type(output));
  return types;
}

Session& Sessions::of(const Variant& variant) {
  const bool planted = plant_ != nullptr && (plant_->everywhere || !variant.is_base);
  const std::string key = fmt::format("{} {} {} {} {}", variant.fusion, variant.threads, to_string(variant.isa),
                                      to_string(variant.precision), planted);
  std::unique_ptr<Session>& session = sessions_[key];
  if (session) return *session;
  SessionOptions options;
  options.threads = variant.threads;
  options.fusion = variant.fusion;
  options.isa = variant.isa;
  options.precision = variant.precision;
  options.disk_cache = false;
  options.memory_limit = std::int64_t{24} << 20;
  if (planted) options.passes = {{plant_->name, plant_->change}};
  session = std::make_unique<Session>(std::move(options));
  return *session;
}

Outcome Sessions::run(const RandomGraph& graph, const Variant& variant) {
  try {
    return {run_on(of(variant), graph, possible(variant.way, graph.graph)), {}};
  } catch (const std::exception& error) {
    return {{}, error.what()};
  }
}

void Sessions::bound_kernels(std::int64_t most) {
  for (;;) {
    std::int64_t all = 0, largest = -1;
    auto fullest = sessions_.end();
    for (auto each = sessions_.begin(); each != sessions_.end(); ++each) {
      const std::int64_t kernels = each->second->statistics().loops;
      all += kernels;
      if (kernels > largest) {
        largest = kernels;
        fullest = each;
      }
    }
    if (all <= most || fullest == sessions_.end()) return;
    sessions_.erase(fullest);
  }
}

}  // namespace lazuli::fuzz
