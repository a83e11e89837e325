// The registry of attention kernels and what a caller must know to split and feed them.
#pragma once

#include <lazuli/backends/cpu/isa.h>
#include <lazuli/backends/cpu/kernels/attention_arguments.h>
#include <lazuli/graph/dtype.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace lazuli {

struct AttentionKernel {
  Isa isa;
  const char* name;  // symbol, as printed in profiles: "attention_avx512"
  Attention run;
};

#define LAZULI_ATTENTION(isa)                                                                               \
  void attention_##isa(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end, \
                       float* scratch);
#include <lazuli/backends/cpu/kernels/attention.def>
#undef LAZULI_ATTENTION

std::span<const AttentionKernel> attention_kernels();

// The best kernel at a level up to `at_most`; never null. The caller makes sure that the host supports `at_most`.
const AttentionKernel* find_attention_kernel(Isa at_most);

// The cache's element type as the kernels name it. Throws Error unless `dtype` is f32, f16 or bf16.
AttentionCache attention_cache(DType dtype);

// How many units there are to split among threads. Units are ordered so that contiguous ranges of one size cost about
// the same although later rows see more keys. At least min(heads * rows, 64 * kv_heads).
std::int64_t attention_units(const AttentionArguments& arguments);

// Floats of scratch for each concurrent call; they need no alignment and no initial value.
std::size_t attention_scratch_floats(const AttentionArguments& arguments);

}  // namespace lazuli
