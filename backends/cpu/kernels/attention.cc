#include <lazuli/backends/cpu/kernels/attention.h>
#include <lazuli/backends/cpu/kernels/attention_plan.h>
#include <lazuli/graph/error.h>

namespace lazuli {
namespace {

constexpr AttentionKernel table[] = {
#define LAZULI_ATTENTION(isa) {Isa::isa, "attention_" #isa, attention_##isa},
#include <lazuli/backends/cpu/kernels/attention.def>
#undef LAZULI_ATTENTION
};

}  // namespace

std::span<const AttentionKernel> attention_kernels() { return table; }

const AttentionKernel* find_attention_kernel(Isa at_most) {
  for (const AttentionKernel& kernel : table) {
    if (kernel.isa <= at_most) return &kernel;
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
    default:
      fail("attention: the cache is {}; expected f32, f16 or bf16", to_string(dtype));
  }
}

std::int64_t attention_units(const AttentionArguments& arguments) {
  return unit_plan(arguments).per_head * arguments.kv_heads;
}

std::size_t attention_scratch_floats(const AttentionArguments& arguments) {
  const std::int64_t alignment_slack = cache_line_floats - 1;
  return static_cast<std::size_t>(scratch_plan(arguments.width).floats + alignment_slack);
}

}  // namespace lazuli
