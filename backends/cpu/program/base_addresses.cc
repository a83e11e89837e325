// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/base_addresses.h>
#include <lazuli/backends/cpu/program/control_flow.h>

namespace lazuli::cpu {
namespace {

// A weight that only exists packed is a buffer that no step touches: asking for its bytes would bring them back.
std::vector<bool> touched_buffers(const Lowered& program) {
  std::vector<bool> touched(program.buffers.size());
  for_each_step(program.steps, [&](const Step& step) {
    for (const std::vector<int>* list : {&step.reads, &step.writes})
      for (int buffer : *list) touched[static_cast<std::size_t>(buffer)] = true;
  });
  return touched;
}

}  // namespace

BaseAddresses::BaseAddresses(const Lowered& program) : memory_(std::vector<std::byte*>(program.buffers.size())) {
  const std::vector<bool> touched = touched_buffers(program);
  for (std::size_t i = 0; i < touched.size(); ++i) {
    if (!touched[i]) continue;
    const BufferInfo& info = program.buffers[i];
    const int buffer = static_cast<int>(i);
    switch (info.kind) {
      case BufferKind::input:
        inputs_.push_back({buffer, info.index});
        break;
      case BufferKind::output:
        outputs_.push_back({buffer, info.index});
        break;
      case BufferKind::arena:
        placed_.push_back({buffer, info.arena_offset});
        break;
      case BufferKind::constant:
        if (info.constant->is_derived())
          derived_.push_back({buffer, info.constant});
        else
          memory_.set_base(buffer, info.constant->data());
        break;
      case BufferKind::bound:
        break;
    }
  }
}

const Memory& BaseAddresses::of_run(std::span<const BufferRef> inputs, std::span<const BufferRef> outputs,
                                    std::byte* arena, std::span<const std::int64_t> sizes) {
  memory_.set_sizes(sizes);
  for (const auto& [buffer, index] : inputs_) memory_.set_base(buffer, inputs[static_cast<std::size_t>(index)]->data());
  for (const auto& [buffer, index] : outputs_)
    memory_.set_base(buffer, outputs[static_cast<std::size_t>(index)]->data());
  for (const auto& [buffer, constant] : derived_) memory_.set_base(buffer, constant->data());
  if (arena != arena_)
    for (const auto& [buffer, offset] : placed_) memory_.set_base(buffer, arena + offset);
  arena_ = arena;
  return memory_;
}

}  // namespace lazuli::cpu
