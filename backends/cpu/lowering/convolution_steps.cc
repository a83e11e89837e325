// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/work_stealing.h>
#include <lazuli/backends/cpu/kernels/linear/kernels.h>
#include <lazuli/backends/cpu/kernels/windows/windows.h>
#include <lazuli/backends/cpu/lowering/convolution_plan.h>
#include <lazuli/backends/cpu/lowering/convolution_steps.h>
#include <lazuli/backends/cpu/lowering/loop_steps.h>
#include <lazuli/backends/cpu/lowering/worth_splitting.h>
#include <lazuli/backends/cpu/weights/pack_strided.h>
#include <lazuli/backends/cpu/weights/packed_weight.h>
#include <lazuli/graph/base/round_up.h>

#include <algorithm>
#include <memory>

namespace lazuli::cpu {
namespace {

using PlanRef = std::shared_ptr<const ConvolutionPlan>;

constexpr std::int64_t float_bytes = sizeof(float);

// The packed weights of a group in a phase: those of a constant, or what a step has packed.
struct PackedKernel {
  int buffer = -1;
  DType dtype = DType::f32;
  const PackedWeightView* constant = nullptr;
  std::vector<std::int64_t> offsets;  // of the phases, in bytes

  PackedWeightView view(const Memory& memory, const ConvolutionPlan& plan, std::size_t phase,
                        std::int64_t group) const {
    if (constant) {
      PackedWeightView part = *constant;
      part.data += group * plan.output_groups() * part.group_bytes;
      part.rows = plan.group_outputs();
      return part;
    }
    const std::int64_t columns = plan.columns(plan.phases[phase]);
    const auto bytes = static_cast<std::int64_t>(packed_bytes(dtype, plan.group_outputs(), columns));
    return packed_view(dtype, plan.group_outputs(), columns, memory.base(buffer) + offsets[phase] + group * bytes);
  }
};

// Packs 16 outputs of a group for a phase, whose elements of the kernel may be some of all.
void pack_outputs(const ConvolutionPlan& plan, const PatchPhase& phase, const std::byte* weight, DType dtype,
                  std::int64_t group, std::int64_t index, std::uint8_t* to) {
  const std::int64_t row = plan.taps * plan.group_channels(), first = index * packed_group_rows;
  const std::int64_t outputs = std::min<std::int64_t>(packed_group_rows, plan.group_outputs() - first);
  const std::byte* from = weight + byte_size(dtype, (group * plan.group_outputs() + first) * row);
  if (phase.taps() == plan.taps) return pack_strided(dtype, {from, outputs, row, row, 1}, to, 0, 1);
  const auto& [outer, middle, inner] = phase.axes;
  const std::int64_t tap_bytes = byte_size(dtype, plan.group_channels());
  const std::int64_t middle_taps = plan.kernel[1], inner_taps = plan.kernel[2];
  for (const std::int64_t t0 : outer.taps)
    for (const std::int64_t t1 : middle.taps)
      for (const std::int64_t t2 : inner.taps) {
        const std::int64_t tap = (t0 * middle_taps + t1) * inner_taps + t2;
        pack_strided(dtype, {from + tap * tap_bytes, outputs, plan.group_channels(), row, 1}, to, 0, 1);
        to += tap_bytes * packed_group_rows;
      }
}

PackedKernel pack_when_run(ProgramBuilder& builder, std::int32_t id, const PlanRef& plan) {
  const View weight = contiguous_input(builder, id, 1);
  PackedKernel packed;
  packed.dtype = weight.dtype;
  std::int64_t bytes = 0;
  for (const PatchPhase& phase : plan->phases) {
    packed.offsets.push_back(bytes);
    bytes += plan->groups *
             static_cast<std::int64_t>(packed_bytes(weight.dtype, plan->group_outputs(), plan->columns(phase)));
  }
  packed.buffer = builder.add_scratch(bytes, fmt::format("%{} packed kernel", id));
  Step& step = builder.add_step(id, "pack_kernel", "pack_strided", {weight.buffer}, {packed.buffer});
  const std::int64_t per_phase = plan->groups * plan->output_groups();
  step.units = per_phase * static_cast<std::int64_t>(plan->phases.size());
  step.split = worth_splitting(step.bytes, 0);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const auto phase = static_cast<std::size_t>(unit / per_phase);
      const std::int64_t group = unit % per_phase / plan->output_groups(), index = unit % plan->output_groups();
      const PackedWeightView view = packed.view(memory, *plan, phase, group);
      pack_outputs(*plan, plan->phases[phase], memory.at(weight), weight.dtype, group, index,
                   reinterpret_cast<std::uint8_t*>(memory.base(packed.buffer)) +
                       (view.data - reinterpret_cast<const std::uint8_t*>(memory.base(packed.buffer))) +
                       index * view.group_bytes);
    }
  };
  return packed;
}

// A constant is packed once where its rows are those of the products, from the first group to the last.
PackedKernel pack_kernel(ProgramBuilder& builder, std::int32_t id, const PlanRef& plan) {
  const GraphNode& weight = builder.graph().node(builder.node(id).inputs[1]);
  const bool whole_groups = plan->groups == 1 || plan->group_outputs() % packed_group_rows == 0;
  const bool one_phase = plan->phases.size() == 1 && plan->phases[0].taps() == plan->taps;
  if (weight.op != Op::constant || !one_phase || !whole_groups) return pack_when_run(builder, id, plan);
  GraphNode matrix = weight;
  matrix.types = {{weight.type().dtype, {plan->outputs, plan->taps * plan->group_channels()}}};
  PackedKernel packed;
  const auto constant = builder.add_packed(matrix);
  packed.buffer = constant.buffer;
  packed.dtype = weight.type().dtype;
  packed.constant = constant.packed;
  return packed;
}

// One worker's way through units.
class ProductRun {
 public:
  struct Product {
    PlanRef plan;
    ConvolutionBlocks blocks;
    PackedKernel kernel;
    LinearReal multiply;
    View x, y;
    int scratch;
    std::int64_t patch_bytes, scratch_bytes;  // of a worker
  };

  ProductRun(const Product& product, const Memory& memory, int worker)
      : product_(product),
        plan_(*product.plan),
        memory_(memory),
        x_(memory.as<const float>(product.x)),
        y_(memory.as<float>(product.y)),
        in_place_(plan_.reads_pixels_as_rows()) {
    if (product.scratch < 0) return;
    std::byte* own = memory.base(product.scratch) + worker * product.scratch_bytes;
    patches_ = reinterpret_cast<float*>(own);
    tile_ = reinterpret_cast<float*>(own + product.patch_bytes);
  }

  void run(std::int64_t unit) {
    const std::vector<std::int64_t>& first = product_.blocks.first_unit;
    phase_ = static_cast<std::size_t>(std::upper_bound(first.begin(), first.end(), unit) - first.begin()) - 1;
    const std::int64_t parts = product_.blocks.parts, part = (unit - first[phase_]) % parts;
    row_begin_ = (unit - first[phase_]) / parts * product_.blocks.block_rows;
    row_end_ = std::min(plan_.rows(phase()), row_begin_ + product_.blocks.block_rows);
    const std::int64_t groups = plan_.output_groups(), all = plan_.groups * groups;
    const std::int64_t end = all * (part + 1) / parts;
    for (std::int64_t begin = all * part / parts; begin < end;) {
      const std::int64_t group = begin / groups, stop = std::min(end, (group + 1) * groups);
      multiply(group, begin - group * groups, stop - group * groups);
      begin = stop;
    }
  }

 private:
  const PatchPhase& phase() const { return plan_.phases[phase_]; }

  // The block's rows of the left matrix, gathered anew only for another block or group.
  RealRowsView rows_of(std::int64_t group) {
    const std::int64_t rows = row_end_ - row_begin_, columns = plan_.columns(phase());
    const std::int64_t channel = group * plan_.group_channels();
    if (in_place_) return {x_ + row_begin_ * plan_.channels + channel, rows, columns, plan_.channels};
    const std::array<std::int64_t, 3> wanted = {static_cast<std::int64_t>(phase_), row_begin_, group};
    if (wanted != gathered_) {
      gather_patches(phase(), {x_, plan_.channels, channel, plan_.group_channels()}, row_begin_, row_end_, patches_);
      gathered_ = wanted;
    }
    return {patches_, rows, columns, columns};
  }

  void multiply(std::int64_t group, std::int64_t begin, std::int64_t end) {
    const RealRowsView rows = rows_of(group);
    const PackedWeightView weight = product_.kernel.view(memory_, plan_, phase_, group);
    const std::int64_t first_output = group * plan_.group_outputs();
    if (plan_.phases.size() == 1) {
      float* y = y_ + row_begin_ * plan_.outputs + first_output;
      return product_.multiply(weight, rows, begin, end, 0, rows.rows, y, plan_.outputs);
    }
    // The rows of one phase of several lie apart.
    const std::int64_t from = begin * packed_group_rows, to = std::min(end * packed_group_rows, plan_.group_outputs());
    product_.multiply(weight, rows, begin, end, 0, rows.rows, tile_, plan_.group_outputs());
    for (std::int64_t row = 0; row < rows.rows; ++row)
      std::copy(tile_ + row * plan_.group_outputs() + from, tile_ + row * plan_.group_outputs() + to,
                y_ + plan_.pixel_of(phase(), row_begin_ + row) * plan_.outputs + first_output + from);
  }

  const Product& product_;
  const ConvolutionPlan& plan_;
  const Memory& memory_;
  const float* x_;
  float* y_;
  bool in_place_;
  float *patches_ = nullptr, *tile_ = nullptr;
  std::size_t phase_ = 0;
  std::int64_t row_begin_ = 0, row_end_ = 0;
  std::array<std::int64_t, 3> gathered_ = {-1, -1, -1};
};

void add_products_of_patches(ProgramBuilder& builder, std::int32_t id, const PlanRef& plan, const View& y) {
  const View x = converted_input(builder, id, 0, DType::f32);
  ProductRun::Product product{plan, {*plan, builder.workers()}, pack_kernel(builder, id, plan), nullptr, x, y, -1, 0,
                              0};
  const LinearKernel& kernel = *find_linear_kernel(product.kernel.dtype, builder.tools().isa);
  product.multiply = kernel.multiply_real;
  const std::int64_t block_rows = product.blocks.block_rows, parts = product.blocks.parts;
  const bool scatters = plan->phases.size() > 1;
  if (!plan->reads_pixels_as_rows()) {
    constexpr std::int64_t line_bytes = 64;
    product.patch_bytes = round_up(block_rows * plan->most_columns() * float_bytes, line_bytes);
    product.scratch_bytes =
        product.patch_bytes + (scatters ? round_up(block_rows * plan->group_outputs() * float_bytes, line_bytes) : 0);
    product.scratch = builder.add_scratch(product.scratch_bytes * builder.workers(), fmt::format("%{} patches", id));
  }
  Step& step = builder.add_step(id, builder.node(id).name(), {kernel.name, kernel.isa},
                                {x.buffer, product.kernel.buffer}, {y.buffer});
  if (product.scratch >= 0) step.writes.push_back(product.scratch);
  step.units = product.blocks.units();
  step.split = worth_splitting(step.bytes, step.operations);
  if (step.split && parts == 1) step.grain = (step.units + max_grains - 1) / max_grains;
  step.run = [product](const Memory& memory, std::int64_t begin, std::int64_t end, int worker) {
    ProductRun run(product, memory, worker);
    for (std::int64_t unit = begin; unit < end; ++unit) run.run(unit);
  };
  if (!scatters && parts == 1) builder.divide_by_rows(step, {y}, {}, plan->rows(plan->phases[0]), block_rows);
}

// The kernel with the channels of an element side by side: [taps, channels].
View channels_last_kernel(ProgramBuilder& builder, std::int32_t id, const ConvolutionPlan& plan) {
  const View weight = converted_input(builder, id, 1, DType::f32);
  const std::int64_t taps = plan.taps, channels = plan.channels;
  const View kernel = builder.new_array({DType::f32, {taps, channels}}, fmt::format("%{} kernel", id));
  Step& step = builder.add_step(id, "pack_kernel", "pack_depthwise", {weight.buffer}, {kernel.buffer});
  step.units = taps;
  step.split = worth_splitting(step.bytes, taps * channels * scalar_operations);
  step.run = [=](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t tap = begin; tap < end; ++tap)
      for (std::int64_t channel = 0; channel < channels; ++channel)
        memory.as<float>(kernel)[tap * channels + channel] = memory.as<const float>(weight)[channel * taps + tap];
  };
  return kernel;
}

// The rows of a depthwise convolution's result, of one phase after the other.
class DepthwiseRun {
 public:
  DepthwiseRun(const ConvolutionPlan& plan, const float* x, const float* kernel, float* y, Depthwise multiply)
      : plan_(plan), x_(x), kernel_(kernel), y_(y), multiply_(multiply) {}

  void run(const PatchPhase& phase, std::int64_t row) {
    const auto& [outer, middle, inner] = phase.axes;
    const std::int64_t j1 = row % middle.count, j0 = row / middle.count % outer.count,
                       image = row / (middle.count * outer.count), channels = plan_.channels;
    x_rows_.clear();
    weights_.clear();
    for (std::size_t t0 = 0; t0 < outer.starts.size(); ++t0)
      for (std::size_t t1 = 0; t1 < middle.starts.size(); ++t1) {
        const std::int64_t p0 = j0 * outer.step + outer.starts[t0], p1 = j1 * middle.step + middle.starts[t1];
        if (!outer.is_inside(p0) || !middle.is_inside(p1)) continue;
        x_rows_.push_back(x_ + ((image * outer.size + p0) * middle.size + p1) * inner.size * channels);
        weights_.push_back(kernel_ + (outer.taps[t0] * plan_.kernel[1] + middle.taps[t1]) * plan_.kernel[2] * channels);
      }
    std::int64_t begin = 0, end = inner.count;
    while (begin < end && !inner.all_inside(begin)) ++begin;
    while (end > begin && !inner.all_inside(end - 1)) --end;
    multiply_({x_rows_.data(), weights_.data(), static_cast<std::int64_t>(x_rows_.size()), inner.starts.data(),
               inner.taps.data(), static_cast<std::int64_t>(inner.taps.size()), inner.step, inner.size, inner.count,
               begin, end, channels, 0, channels, y_ + plan_.pixel_of(phase, row * inner.count) * channels,
               inner.period * channels});
  }

 private:
  const ConvolutionPlan& plan_;
  const float *x_, *kernel_;
  float* y_;
  Depthwise multiply_;
  std::vector<const float*> x_rows_, weights_;
};

void add_depthwise(ProgramBuilder& builder, std::int32_t id, const PlanRef& plan, const View& y) {
  const View x = converted_input(builder, id, 0, DType::f32), kernel = channels_last_kernel(builder, id, *plan);
  const WindowKernels& kernels = find_window_kernels(builder.tools().isa);
  Step& step = builder.add_step(id, builder.node(id).name(), {kernels.depthwise_name, kernels.isa},
                                {x.buffer, kernel.buffer}, {y.buffer});
  std::vector<std::int64_t> first = {0};
  for (const PatchPhase& phase : plan->phases)
    first.push_back(first.back() + plan->images * phase.axes[0].count * phase.axes[1].count);
  step.units = first.back();
  step.split = worth_splitting(step.bytes, step.operations);
  step.run = [=, multiply = kernels.depthwise](const Memory& memory, std::int64_t begin, std::int64_t end, int) {
    DepthwiseRun run(*plan, memory.as<const float>(x), memory.as<const float>(kernel), memory.as<float>(y), multiply);
    std::size_t phase = 0;
    for (std::int64_t unit = begin; unit < end; ++unit) {
      while (unit >= first[phase + 1]) ++phase;
      run.run(plan->phases[phase], unit - first[phase]);
    }
  };
  const PatchPhase& phase = plan->phases[0];
  if (plan->phases.size() == 1) builder.divide_by_rows(step, {y}, {}, plan->rows(phase), phase.axes[2].count);
}

}  // namespace

void lower_convolution(ProgramBuilder& builder, std::int32_t id) {
  const GraphNode& current = builder.node(id);
  const View result = builder.result_view(id);
  if (result.elements() == 0) return;
  const auto plan =
      std::make_shared<const ConvolutionPlan>(current.as<ConvolutionAttrs>(), builder.type(current.inputs[0]).shape,
                                              builder.type(current.inputs[1]).shape, result.shape);
  const View y =
      result.dtype == DType::f32 ? result : builder.new_array({DType::f32, result.shape}, fmt::format("%{} f32", id));
  if (plan->is_depthwise())
    add_depthwise(builder, id, plan, y);
  else
    add_products_of_patches(builder, id, plan, y);
  if (result.dtype != DType::f32) lower_copy(builder, id, y, result);
}

}  // namespace lazuli::cpu
