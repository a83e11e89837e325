// SPDX-License-Identifier: MIT
// Pass: what depends on constants alone is computed when the program is built. Numbers count as constants where they
// meet one: the program is then for their values alone (number_guards.h).
#pragma once

#include <lazuli/passes/pass.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace lazuli {

// Folded values by the structure of what they were computed from (which includes the identity of the constants), so
// that the prefill and the decode program share one buffer. Holds none of them: they end with their last program.
// Thread-safe.
class FoldCache {
 public:
  BufferRef find(const std::string& key) const;
  void insert(std::string key, BufferRef buffer);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<Buffer>> buffers_;
  std::size_t max_buffers_ = 64;  // before those that have ended are dropped
};

Graph fold_constants(Graph graph, PassContext& context);

}  // namespace lazuli
