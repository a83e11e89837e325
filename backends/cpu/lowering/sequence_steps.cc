// Ops along the sequence and over long rows: rope, attention, argmax, top_k.
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/attention/attention.h>
#include <lazuli/backends/cpu/kernels/rows/argmax.h>
#include <lazuli/backends/cpu/kernels/rows/rope.h>
#include <lazuli/backends/cpu/lowering/lowering.h>
#include <lazuli/graph/operations.h>
#include <lazuli/graph/types/scalar_value.h>

#include <algorithm>
#include <numeric>

namespace lazuli::cpu {
namespace {

template <class T>
std::int64_t first_largest(const std::byte* row, std::int64_t columns) {
  const auto* values = reinterpret_cast<const T*>(row);
  return std::max_element(values, values + columns) - values;
}

// For integers that f32 does not tell apart; null for all other dtypes.
using FirstLargest = std::int64_t (*)(const std::byte* row, std::int64_t columns);
FirstLargest first_largest_of(DType dtype) {
  switch (dtype) {
    case DType::i32:
      return first_largest<std::int32_t>;
    case DType::u32:
      return first_largest<std::uint32_t>;
    case DType::i64:
      return first_largest<std::int64_t>;
    default:
      return nullptr;
  }
}

}  // namespace

// The sines and cosines of a rope node, made once for all nodes that turn the same positions alike: all layers of one
// base frequency, queries and keys.
int Lowering::rope_turns_of(std::int32_t id) {
  const GraphNode& current = node(id);
  const auto& attrs = current.as<RopeAttrs>();
  const std::int64_t width = graph_.type(current.inputs[0]).shape[2];
  const std::int64_t pairs = attrs.rotated_pairs == 0 ? width / 2 : attrs.rotated_pairs;
  const bool has_factors = current.inputs.size() == 3;
  const Turns key{
      current.inputs[1], has_factors ? current.inputs[2] : ValueId{}, attrs.base, attrs.scale, width, pairs};
  const auto [entry, added] = turns_.try_emplace(key, -1);
  if (!added) return entry->second;
  const View positions = contiguous_input(id, 1);
  const View factors = has_factors ? contiguous_input(id, 2) : View{};
  const std::int64_t rows = positions.elements();
  const int target = add_scratch(rows * pairs * 2 * 4, fmt::format("%{} turns", id));
  entry->second = target;
  const auto frequencies_of = [=, base = attrs.base, scale = attrs.scale](const float* values) {
    return make_inverse_frequencies(width, base, scale, pairs, values);
  };
  std::vector<int> reads{positions.buffer};
  const bool known = !has_factors || graph_.node(current.inputs[2]).op == Op::constant;
  std::vector<float> frequencies;
  if (known)
    frequencies = frequencies_of(has_factors ? graph_.node(current.inputs[2]).constant->as<float>() : nullptr);
  else
    reads.push_back(factors.buffer);
  Step& step = add_step(id, "rope_turns", "rope_turns", std::move(reads), {target});
  step.units = rows;
  step.split = rows * pairs >= 4 * 1024;
  step.run = [=, frequencies = std::move(frequencies)](const Memory& memory, std::int64_t begin, std::int64_t end,
                                                       int) {
    const std::vector<float> computed = known ? std::vector<float>() : frequencies_of(memory.as<const float>(factors));
    rope_turns(memory.as<const std::int32_t>(positions), (known ? frequencies : computed).data(), pairs,
               reinterpret_cast<float*>(memory.base(target)), begin, end);
  };
  return target;
}

void Lowering::lower_rope(std::int32_t id) {
  const GraphNode& current = node(id);
  const auto& attrs = current.as<RopeAttrs>();
  const View x = contiguous_input(id, 0);
  const View target = result_view(id);
  const std::int64_t rows = x.shape[0], heads = x.shape[1], width = x.shape[2];
  const std::int64_t pairs = attrs.rotated_pairs == 0 ? width / 2 : attrs.rotated_pairs;
  const int turns = rope_turns_of(id);
  Step& step = add_step(id, current.name(), "rope", {x.buffer, turns}, {target.buffer});
  step.units = rows;
  step.split = x.elements() >= 16 * 1024;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    const RopeArguments call{memory.as<const float>(x),
                             memory.as<float>(target),
                             heads,
                             width,
                             heads * width,
                             heads * width,
                             reinterpret_cast<const float*>(memory.base(turns)),
                             pairs};
    rope_rows(call, begin, end);
  };
  divide_by_rows(step, {x, target}, {}, rows);
}

void Lowering::lower_attention(std::int32_t id) {
  const GraphNode& current = node(id);
  const auto& attrs = current.as<AttentionAttrs>();
  const View q = contiguous_input(id, 0), k = contiguous_input(id, 1), v = contiguous_input(id, 2);
  const View positions = contiguous_input(id, 3), length = contiguous_input(id, 4);
  const View target = result_view(id);
  AttentionArguments arguments{};
  arguments.rows = q.shape[0];
  arguments.heads = q.shape[1];
  arguments.width = q.shape[2];
  arguments.capacity = k.shape[0];
  arguments.kv_heads = k.shape[1];
  arguments.window = attrs.window;
  arguments.scale = static_cast<float>(attrs.scale);
  arguments.q_stride = arguments.out_stride = arguments.heads * arguments.width;
  arguments.k_stride = arguments.v_stride = arguments.kv_heads * arguments.width;
  arguments.cache = attention_cache(k.dtype);
  arguments.length = arguments.capacity;
  const bool rounds = graph_.phase == Phase::prefill && tools_.precision == Precision::fast;
  const AttentionKernel* kernel = find_attention_kernel(tools_.isa, rounds ? AttentionUse::prompt : AttentionUse::any);
  const auto scratch_floats = static_cast<std::int64_t>((attention_scratch_floats(*kernel, arguments) + 15) / 16 * 16);
  const int scratch = add_scratch(scratch_floats * 4 * tools_.executor.size(), fmt::format("%{} scratch", id));
  if (q.elements() == 0) return;

  const auto call_of = [=](const Memory& memory) {
    AttentionArguments call = arguments;
    call.q = memory.as<const float>(q);
    call.k = memory.at(k);
    call.v = memory.at(v);
    call.out = memory.as<float>(target);
    call.positions = memory.as<const std::int32_t>(positions);
    call.length = *memory.as<const std::int32_t>(length);
    return call;
  };
  // Keys that no query of this run sees.
  const bool known_length = result_.buffers[static_cast<std::size_t>(length.buffer)].kind == BufferKind::input;
  const auto spared_of = [=, bytes = byte_size(k.dtype, k.elements() + v.elements()),
                          operations = count_operations(graph_, current), capacity = arguments.capacity,
                          window = attrs.window, rows = arguments.rows](const Memory& memory) -> Spared {
    if (!known_length || capacity == 0) return {};
    const std::int64_t longest = window > 0 ? std::min(capacity, window + rows - 1) : capacity;
    const std::int64_t unseen = capacity - std::clamp<std::int64_t>(*memory.as<const std::int32_t>(length), 0, longest);
    return {bytes / capacity * unseen, operations / capacity * unseen};
  };
  const std::vector<int> reads{q.buffer, k.buffer, v.buffer, positions.buffer, length.buffer};
  const auto scratch_of = [=](const Memory& memory, int worker) {
    return reinterpret_cast<float*>(memory.base(scratch)) + worker * scratch_floats;
  };
  if (graph_.phase != Phase::decode) {
    Step& step = add_step(id, current.name(), {kernel->name, kernel->isa}, reads, {target.buffer, scratch});
    step.arithmetic = kernel->use == AttentionUse::prompt ? Arithmetic::bf16 : Arithmetic::f32;
    step.spared = spared_of;
    step.bytes -= result_.buffers[static_cast<std::size_t>(scratch)].bytes;  // it stays in the cache
    step.units = attention_units(*kernel, arguments);
    step.split = step.units > 1;
    step.run = [=, run = kernel->run](const Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
      run(call_of(memory), begin, end, scratch_of(memory, worker));
    };
    return;
  }
  const int partials = add_scratch(attention_partial_floats(arguments) * 4, fmt::format("%{} parts", id));
  Step& parts = add_step(id, current.name(), {kernel->name, kernel->isa}, reads, {partials, scratch});
  parts.spared = spared_of;
  parts.bytes -= result_.buffers[static_cast<std::size_t>(scratch)].bytes;
  parts.units = attention_part_units(arguments);
  parts.split = true;
  parts.run = [=, run = kernel->run_parts](const Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    run(call_of(memory), begin, end, reinterpret_cast<float*>(memory.base(partials)), scratch_of(memory, worker));
  };
  Step& combine = add_step(id, "attention_combine", "attention_combine", {partials, positions.buffer, length.buffer},
                           {target.buffer, partials});
  combine.units = arguments.rows * arguments.heads;
  combine.split = combine.units > 1;
  combine.run = [=, run = kernel->combine](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    run(call_of(memory), begin, end, reinterpret_cast<float*>(memory.base(partials)));
  };
}

void Lowering::lower_argmax(std::int32_t id) {
  const GraphNode& current = node(id);
  const std::int64_t axis = current.as<AxisAttrs>().axis;
  View source = view(current.inputs[0]);
  Dims permutation(source.shape.size());
  std::iota(permutation.begin(), permutation.end(), 0);
  permutation.erase(permutation.begin() + axis);
  permutation.push_back(axis);
  source = *apply_view(Op::transpose, TransposeAttrs{permutation}, source);
  const FirstLargest of_integers = first_largest_of(source.dtype);
  const DType compared = of_integers ? source.dtype : DType::f32;  // the other dtypes keep their order in f32
  if (source.dtype != compared || !source.contiguous()) {
    const View copy = new_array({compared, source.shape}, fmt::format("%{} {}", id, to_string(compared)));
    lower_copy(id, source, copy);
    source = copy;
  }
  const std::int64_t columns = source.shape.back(),
                     rows = element_count(source.shape) / std::max<std::int64_t>(columns, 1);
  const int workers = tools_.executor.size();
  // Long rows divide into one range a worker; what they found meets in add_argmax_combine.
  const bool by_range = !of_integers && rows < workers && columns >= 64 * 1024;
  const std::int64_t ranges = by_range ? workers : 1;
  const Type partial{DType::u8, {rows * ranges * static_cast<std::int64_t>(sizeof(Best))}};
  const View found = by_range ? new_array(partial, "partial argmax") : result_view(id);

  Step& step = add_step(id, current.name(), "argmax", {source.buffer}, {found.buffer});
  step.units = rows * ranges;
  step.split = rows * columns >= 32 * 1024;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t row = unit / ranges, range = unit % ranges;
      if (of_integers) {
        const std::byte* values = memory.at(source) + byte_size(compared, row * columns);
        memory.as<std::int32_t>(found)[row] = static_cast<std::int32_t>(of_integers(values, columns));
        continue;
      }
      const Best best = argmax_range(memory.as<const float>(source) + row * columns, columns * range / ranges,
                                     columns * (range + 1) / ranges);
      if (by_range)
        memory.as<Best>(found)[unit] = best;
      else
        memory.as<std::int32_t>(found)[row] = static_cast<std::int32_t>(best.index);
    }
  };
  if (by_range) add_argmax_combine(id, found, ranges);
}

void Lowering::add_argmax_combine(std::int32_t id, const View& maxima, std::int64_t ranges) {
  const View target = result_view(id);
  Step& step = add_step(id, "argmax_combine", "argmax_combine", {maxima.buffer}, {target.buffer});
  step.units = target.elements();
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      Best best = memory.as<Best>(maxima)[row * ranges];
      for (std::int64_t range = 1; range < ranges; ++range)
        best = combine(best, memory.as<Best>(maxima)[row * ranges + range]);
      memory.as<std::int32_t>(target)[row] = static_cast<std::int32_t>(best.index);
    }
  };
}

void Lowering::lower_top_k(std::int32_t id) {
  const GraphNode& current = node(id);
  const View source = contiguous_input(id, 0);
  const View values = result_view(id, 0), indices = result_view(id, 1);
  const std::int64_t columns = source.shape.back(), k = current.as<TopKAttrs>().k;
  const std::int64_t rows = columns > 0 ? source.elements() / columns : 0;
  if (rows == 0) return;
  Step& step = add_step(id, current.name(), "top_k", {source.buffer}, {values.buffer, indices.buffer});
  step.units = rows;
  step.split = rows * columns >= 16 * 1024;
  const auto element = info(source.dtype).block_bytes;
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    std::vector<double> keys(static_cast<std::size_t>(columns));
    std::vector<std::int32_t> order(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      const std::byte* x = memory.at(source) + row * columns * element;
      for (std::int64_t i = 0; i < columns; ++i)
        keys[static_cast<std::size_t>(i)] = load_scalar(source.dtype, x + i * element);
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](std::int32_t a, std::int32_t b) {
        const double left = keys[static_cast<std::size_t>(a)], right = keys[static_cast<std::size_t>(b)];
        if (left > right || right > left) return left > right;
        const bool a_is_number = left == left, b_is_number = right == right;  // NaN stands behind all numbers
        return a_is_number != b_is_number ? a_is_number : a < b;
      });
      for (std::int64_t i = 0; i < k; ++i) {
        const std::int32_t index = order[static_cast<std::size_t>(i)];
        store_scalar(keys[static_cast<std::size_t>(index)], source.dtype, memory.at(values) + (row * k + i) * element);
        memory.as<std::int32_t>(indices)[row * k + i] = index;
      }
    }
  };
}

}  // namespace lazuli::cpu
