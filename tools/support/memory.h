// SPDX-License-Identifier: MIT
// What a model takes of memory: asked before its weights are read, told when it has run.
#pragma once

#include <lazuli/backends/cpu/options.h>
#include <lazuli/models/model.h>

#include <cstdint>
#include <optional>
#include <string>

namespace lazuli::tool {

// All in bytes.
struct MemoryReport {
  std::int64_t peak = 0;   // resident at most, mapped files included
  std::int64_t file = 0;   // the checkpoint
  std::int64_t kv = 0;     // key/value caches
  std::int64_t arena = 0;  // planned for intermediate values
};

std::string to_string(const MemoryReport& report);

// What weights take once they are laid out: in f32 every one is dequantised; otherwise kernels read the bits of the
// checkpoint in another order.
std::int64_t weight_memory(const ModelInfo& model, Precision precision);

// Throws an Error that says how much `model` needs and how much there is, where that is known and too little.
void check_fits(const std::string& model, std::int64_t needed, std::optional<std::int64_t> available);

}  // namespace lazuli::tool
