// SPDX-License-Identifier: MIT
// The registry of attention kernels and what a caller must know to split and feed them.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/backends/cpu/kernels/attention/attention_arguments.h>
#include <lazuli/graph/types/dtype.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace lazuli {

enum class AttentionUse : std::uint8_t {
  any,     // f32 arithmetic
  prompt,  // queries, keys, values and probabilities are rounded to bf16; sums are f32
};

struct AttentionKernel {
  AttentionUse use;
  Isa isa;
  const char* name;  // symbol, as printed in profiles: "attention_avx512"
  Attention run;
  AttentionParts run_parts;  // null for prompts
  AttentionCombine combine;  // likewise
};

#define LAZULI_PROMPT_ATTENTION(isa)                                                                               \
  void attention_prompt_##isa(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end, \
                              float* scratch);
#define LAZULI_ATTENTION(isa)                                                                                         \
  void attention_##isa(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,           \
                       float* scratch);                                                                               \
  void attention_parts_##isa(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,     \
                             float* partials, float* scratch);                                                        \
  void attention_combine_##isa(const AttentionArguments& arguments, std::int64_t query_begin, std::int64_t query_end, \
                               float* partials);
#include <lazuli/backends/cpu/kernels/attention/attention.def>
#undef LAZULI_PROMPT_ATTENTION
#undef LAZULI_ATTENTION

std::span<const AttentionKernel> attention_kernels();

// The best kernel at a level up to `at_most`, for prompts one made for them where there is one; never null. The caller
// makes sure that the host supports `at_most`.
const AttentionKernel* find_attention_kernel(Isa at_most, AttentionUse use = AttentionUse::any);

// The cache's element type as the kernels name it. Throws Error unless `dtype` is f32, f16, bf16 or q8_0.
AttentionCache attention_cache(DType dtype);

// How many units a kernel splits into among threads. Units are ordered so that contiguous ranges of one size cost about
// the same although later rows see more keys.
std::int64_t attention_units(const AttentionKernel& kernel, const AttentionArguments& arguments);

// Units of run_parts. However many positions there are at run time, contiguous ranges of one size cost about the same.
std::int64_t attention_part_units(const AttentionArguments& arguments);
std::int64_t attention_partial_floats(const AttentionArguments& arguments);

// Floats of scratch for each concurrent call, of run or run_parts; they need no alignment and no initial value.
std::size_t attention_scratch_floats(const AttentionKernel& kernel, const AttentionArguments& arguments);

}  // namespace lazuli
