// SPDX-License-Identifier: MIT
// What the runner needs of a language model: its sizes, the caches it keeps, and how to build its graph.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class Tokenizer;

// One key/value cache: k and v [capacity, kv_heads, head_dim].
struct LAZULI_API KvCacheShape {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t window = 0;  // 0: keeps every position; otherwise a ring that keeps the last `window` and the chunk
};

// The tensors of one type in a checkpoint.
struct LAZULI_API TensorTotal {
  DType dtype = DType::f32;
  std::int64_t tensors = 0;
  std::int64_t elements = 0;
  std::int64_t bytes = 0;
};

struct LAZULI_API ModelInfo {
  std::string architecture;  // "gemma3"
  std::string name;
  std::int64_t layers = 0;
  std::int64_t hidden_size = 0;
  std::int64_t vocab_size = 0;
  std::int64_t context_length = 0;
  // Rows a prompt is processed by, unless the caller chooses; measured: 1.2 times as fast as 128 on AMX.
  std::int64_t prefill_chunk = 512;
  std::int64_t parameters = 0;
  std::int64_t file_bytes = 0;    // of all files that hold the checkpoint's tensors
  std::int64_t weight_bytes = 0;  // of its tensors
  // The same without tables of which a step looks up rows, and tensors that no layer uses: these stay in the file,
  // while all others are laid out for the kernels.
  std::int64_t laid_out_parameters = 0;
  std::int64_t laid_out_bytes = 0;
  std::int64_t bytes_per_token = 0;  // of weights that one decode step reads
  std::vector<TensorTotal> tensors;  // by type
  // Of names, types and the first bytes of every tensor as the checkpoint stores it: two checkpoints of one
  // architecture differ in it unless all their tensors begin alike. Reads a page of each.
  std::function<std::uint64_t()> hash_weights;
  // What else its results depend on, as the checkpoint says or by default: rope bases and factors, epsilons, caps,
  // which layers slide. Caches of one value serve no other.
  std::vector<std::pair<std::string, std::string>> settings;
  // What of the checkpoint was left aside, or read otherwise than it says.
  std::vector<std::string> notes;
  // Unless thinking is asked for, the model's turn is to be opened with an empty thought channel.
  bool empty_thought = false;
  bool has_altup = false;  // ModelOptions::altup changes how its graph is written
};

// The operands of one step, all decided at run time. T is the bucket; the rows past the valid ones are padding.
struct LAZULI_API StepInputs {
  Array tokens;               // i32 [T]
  Array positions;            // i32 [T]; absolute, -1 for padding
  Array start;                // i32 []; the position of row 0
  Array length;               // i32 []; positions in the caches after this step
  std::vector<Array> caches;  // k and v of each cache in turn
};

struct LAZULI_API StepOutputs {
  Array logits;               // f32 [T, vocab]
  Array head_input;           // f32 [T, hidden]; the rows that the head multiplies; may be undefined
  std::vector<Array> caches;  // with this step's rows written
};

class LAZULI_API LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual const ModelInfo& info() const = 0;
  virtual const std::vector<KvCacheShape>& caches() const = 0;
  // The whole model, for every row. What a program does not ask for is not computed: a prompt chunk that only asks for
  // the caches runs no head, and one that asks for the last row's logits runs it on that row.
  virtual StepOutputs forward(const StepInputs& inputs) const = 0;
  // Null where the checkpoint has none.
  virtual std::shared_ptr<const Tokenizer> tokenizer() const = 0;
};

}  // namespace lazuli
