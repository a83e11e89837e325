// SPDX-License-Identifier: MIT
// A model of two caches, for files of saved caches: nothing of it is computed.
#pragma once

#include <lazuli/models/model.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace lazuli::fuzz {

// One cache that keeps all positions, and a ring. Nothing is computed.
class SmallModel final : public LanguageModel {
 public:
  SmallModel() {
    info_.architecture = "small";
    info_.layers = 2;
    info_.hidden_size = 32;
    info_.vocab_size = 16;
    info_.context_length = 512;
    info_.hash_weights = [] { return std::uint64_t{1}; };
    info_.settings = {{"window", "8"}};
    caches_ = {{.kv_heads = 1, .head_dim = 32, .window = 0}, {.kv_heads = 2, .head_dim = 32, .window = 8}};
  }

  const ModelInfo& info() const override { return info_; }
  const std::vector<KvCacheShape>& caches() const override { return caches_; }
  StepOutputs forward(const StepInputs&) const override { return {}; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return nullptr; }

 private:
  ModelInfo info_;
  std::vector<KvCacheShape> caches_;
};

}  // namespace lazuli::fuzz
