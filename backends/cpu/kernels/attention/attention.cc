// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/attention/attention.h>
#include <lazuli/backends/cpu/kernels/attention/attention_plan.h>
#include <lazuli/backends/cpu/kernels/attention/attention_prompt_plan.h>
#include <lazuli/graph/base/fail.h>

namespace lazuli {
namespace {

constexpr AttentionKernel table[] = {
#define LAZULI_ATTENTION(isa) \
  {AttentionUse::any, Isa::isa, "attention_" #isa, attention_##isa, attention_parts_##isa, attention_combine_##isa},
#define LAZULI_PROMPT_ATTENTION(isa) \
  {AttentionUse::prompt, Isa::isa, "attention_prompt_" #isa, attention_prompt_##isa, nullptr, nullptr},
#include <lazuli/backends/cpu/kernels/attention/attention.def>
#undef LAZULI_PROMPT_ATTENTION
#undef LAZULI_ATTENTION
};

}  // namespace

std::span<const AttentionKernel> attention_kernels() { return table; }

const AttentionKernel* find_attention_kernel(Isa at_most, AttentionUse use) {
  for (const AttentionKernel& kernel : table) {
    if (kernel.isa <= at_most && (kernel.use == use || kernel.use == AttentionUse::any)) return &kernel;
  }
  fail_internal("attention: no kernel at level {}", to_string(at_most));
}

AttentionCache attention_cache(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return AttentionCache::f32;
    case DType::f16:
      return AttentionCache::f16;
    case DType::bf16:
      return AttentionCache::bf16;
    case DType::q8_0:
      return AttentionCache::q8_0;
    default:
      fail("attention: the cache is {}; expected f32, f16, bf16 or q8_0", to_string(dtype));
  }
}

std::int64_t attention_units(const AttentionKernel& kernel, const AttentionArguments& arguments) {
  if (kernel.use == AttentionUse::prompt) return prompt_units(arguments).per_head * arguments.kv_heads;
  return unit_plan(arguments).per_head * arguments.kv_heads;
}

std::int64_t attention_part_units(const AttentionArguments& arguments) { return part_units(arguments); }

std::int64_t attention_partial_floats(const AttentionArguments& arguments) {
  return max_parts(arguments) * arguments.rows * arguments.heads * partial_floats(scratch_plan(arguments.width));
}

std::size_t attention_scratch_floats(const AttentionKernel& kernel, const AttentionArguments& arguments) {
  const std::int64_t alignment_slack = cache_line_floats - 1;
  const std::int64_t floats = kernel.use == AttentionUse::prompt ? prompt_scratch(arguments.width).bytes / 4
                                                                 : scratch_plan(arguments.width).floats;
  return static_cast<std::size_t>(floats + alignment_slack);
}

}  // namespace lazuli
