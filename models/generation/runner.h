// SPDX-License-Identifier: MIT
// Runs a model step by step: prompts in chunks, then one token at a time. Knows nothing of text.
//
// Every step is a compiled function whose lengths and positions are data, so that any number of steps uses a handful of
// programs: one per bucket of rows and cache capacity. Caches are given up (donated) by each step and come back
// updated.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/evaluator.h>
#include <lazuli/models/model.h>

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace lazuli {

struct StepArguments;  // step_arguments.h

struct LAZULI_API RunnerOptions {
  std::int64_t chunk = 0;       // rows of a prompt step; 0: the model's choice, whole_prompt: all rows at once
  std::int64_t context = 0;     // most positions kept; 0: the model's context length
  DType kv_dtype = DType::f16;  // f16, bf16, f32, or q8_0 where heads are multiples of its block of 32
  static constexpr std::int64_t whole_prompt = -1;
};

// Told after each prompt chunk that was submitted; returning false stops before the next.
using PrefillProgress = std::function<bool(std::int64_t done, std::int64_t total)>;

class LAZULI_API Runner {
 public:
  // The model outlives the runner.
  Runner(const LanguageModel& model, const RunnerOptions& options);

  std::int64_t length() const { return length_; }  // positions in the caches
  std::int64_t context() const { return context_; }
  std::int64_t chunk_for(std::int64_t prompt) const;

  // Appends a prompt; returns the logits of its last row, f32 [1, vocab], on their way. Each chunk is submitted without
  // waiting for the one before. Throws an Error when the context is too short, and for ids outside the vocabulary.
  Array prefill(std::span<const std::int32_t> ids, const PrefillProgress& progress = {});
  // Appends a prompt and hands out the logits of every row, chunk by chunk (f32 [rows, vocab]).
  void prefill_logits(
      std::span<const std::int32_t> ids,
      const std::function<void(std::int64_t first_row, const Array& logits, std::int64_t rows)>& receive);
  // Appends one token, i32 [1], which may still be on its way; returns the logits, f32 [1, vocab].
  Array decode(const Array& token);
  // The same, and the index of the largest logit, i32 [1]: the logits are never handed out. What is never to be
  // generated is left out (never_generated).
  Array decode_greedy(const Array& token);
  // Of the row that the head multiplied in the last decode_greedy(), f32 [1]: 0 where all of it is finite, otherwise
  // NaN. It shows whatever a layer made of the token, also where a softcap hides it. It does not show damage of the
  // head itself, nor sums in it that overflow: the logits that prefill() and decode() hand out do (flaw_of).
  const Array& greedy_flaw() const { return greedy_flaw_; }
  // f32 [rows, vocab] to i32 [rows]: the index of the largest logit of each row, as above.
  Array likeliest(const Array& logits) const;

  // The most positions up to `length` that the caches can be cut back to: `length` itself, or 0 where a ring has
  // overwritten keys that the next query would see, or where a step failed and the caches were lost with it. Going back
  // to before the last step is always possible, and to anywhere while no ring has wrapped around.
  std::int64_t keepable(std::int64_t length) const;
  // Forgets positions from `length` on; their rows are overwritten by later steps. Throws an Error for a length that is
  // not keepable.
  void truncate(std::int64_t length);

  // One key or value cache as it stands, [capacity, kv_heads, head_dim]: position p lies in row p mod capacity, for the
  // positions [first, length()). Of a ring these are those it has not overwritten. Waits for the steps under way.
  struct CacheView {
    Array rows;
    std::int64_t first = 0;
  };
  // For each cache of the model k, then v; empty before the first step.
  std::vector<CacheView> cache_views() const;
  // Waits until the steps submitted so far are through, or have failed.
  void settle() const noexcept;
  // Puts `length` positions in the place of what the runner holds. views[i].rows has the positions [views[i].first,
  // length), oldest first, however many the ring they come from had; those that the rings of this runner have no room
  // for are left out. Throws an Error when types do not fit the model, or positions the next query sees are missing.
  void restore(std::int64_t length, std::span<const CacheView> views);
  DType kv_dtype() const { return kv_dtype_; }
  const LanguageModel& model() const { return model_; }

  // The functions and operands of the next step, for listings and profiles.
  struct Step {
    CompiledFunction function;
    std::vector<Array> arguments;
  };
  Step prefill_step(std::int64_t rows);
  Step decode_step();

  std::int64_t cache_bytes() const;

 private:
  enum class Want { caches, last_logits, all_logits, greedy };

  CompiledFunction make_function(Phase phase, Want want) const;
  // Runs ids[0, rows) in a bucket; returns the wanted output.
  Array run_chunk(const CompiledFunction& function, Want want, std::span<const std::int32_t> ids, std::int64_t bucket);
  StepArguments step_arguments(Array tokens, std::int64_t rows, std::int64_t bucket, bool last_row) const;
  std::vector<Array> run_on_caches(const CompiledFunction& function, StepArguments step);
  Step listed_step(const CompiledFunction& function, StepArguments step) const;
  Array finish(const CompiledFunction& function, StepArguments step, Want want, std::int64_t rows);
  bool lost_caches() const;
  void check_prompt(std::span<const std::int32_t> ids) const;
  // Room for `rows` more positions, processed `chunk` at a time.
  void reserve(std::int64_t rows, std::int64_t chunk);
  std::int64_t bucket_for(std::int64_t rows, std::int64_t chunk) const;
  std::int64_t first_visible(const KvCacheShape& shape, std::int64_t position) const;
  std::int64_t capacity_for(const KvCacheShape& shape, std::int64_t positions, std::int64_t padded_end,
                            std::int64_t bucket) const;

  const LanguageModel& model_;
  std::int64_t chunk_;
  std::int64_t context_;
  DType kv_dtype_;
  std::int64_t length_ = 0;
  std::int64_t bucket_ = 0;  // the largest so far: rings are this much longer than their windows
  std::vector<Array> caches_;
  std::vector<std::int64_t> capacities_;  // per k and v pair: rows
  std::int64_t decode_room_ = 0;          // the last length that decode steps reach without a larger cache
  std::vector<std::int64_t> first_held_;  // per k and v pair: no position before this one is in its ring any more
  Array suppression_;                     // f32 [vocab], added to logits; undefined where no token is suppressed
  Array greedy_flaw_;
  CompiledFunction prefill_, prefill_last_, prefill_all_, decode_, decode_greedy_;
};

// Rows of the head that must not be drawn: those the checkpoint suppresses, and those past the vocabulary, where there
// is one. Ascending.
LAZULI_API std::vector<std::int32_t> never_generated(const LanguageModel& model);
// f32 [rows, n] to f32 [rows]: 0 where all values of a row are finite, otherwise NaN.
LAZULI_API Array flaw_of(const Array& rows);

}  // namespace lazuli
