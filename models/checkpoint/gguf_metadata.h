// SPDX-License-Identifier: MIT
// The hyperparameters of one architecture in a GGUF file: "gemma3.block_count" and the like, checked, with defaults for
// keys that older converters left out. Every Error names the file and the key.
#pragma once

#include <lazuli/models/checkpoint/gguf.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class GgufMetadata {
 public:
  // The file outlives this.
  GgufMetadata(const GgufFile& file, std::string architecture) : file_(file), architecture_(std::move(architecture)) {}

  std::string key(const char* name) const { return architecture_ + '.' + name; }
  bool has(const char* name) const { return file_.find_value(key(name)) != nullptr; }

  // Sizes are at most `max_size`.
  std::int64_t size(const char* name) const;
  std::int64_t size_or(const char* name, std::int64_t otherwise, std::int64_t least = 1) const;
  double number_or(const char* name, double otherwise) const;  // finite
  std::int64_t layers() const;                                 // block_count

  // Linear scaling of the global layers' positions: rope.scaling.type and factor, or rope.scale_linear of older files;
  // `otherwise` where none says anything. Throws for other kinds of scaling.
  double rope_factor(double otherwise) const;
  // Throws where attention is not causal, as in embedding models.
  void check_causal() const;

  // A value a layer: a list, or one for all.
  std::vector<std::int64_t> sizes(const char* name, std::int64_t layers) const;
  // attention.sliding_window_pattern: whether each layer slides, or the period of those that do not.
  std::vector<bool> sliding_layers(std::int64_t layers, std::int64_t default_period) const;

  // Rows of a tensor; `otherwise` where it is absent, which is reported with everything else about the tensors.
  std::int64_t rows_or(std::string_view tensor, std::int64_t otherwise) const;

 private:
  std::int64_t checked(const char* name, std::int64_t value, std::int64_t least, std::int64_t most) const;

  const GgufFile& file_;
  std::string architecture_;
};

}  // namespace lazuli
