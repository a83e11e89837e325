// SPDX-License-Identifier: MIT
// The constants that kernels read in a form of their own. Lowering only asks for them, by what their types say; they
// are laid out when the program is prepared for its first run.
#pragma once

#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/kernels/formats/linear_views.h>
#include <lazuli/backends/cpu/program/step.h>
#include <lazuli/backends/cpu/weights/weight_store.h>

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace lazuli::cpu {

enum class WeightForm : std::uint8_t { packed, dequantised };

struct WeightRequest {
  GraphNode constant;
  WeightForm form;
  int buffer;                                  // a constant without data until the weight is laid out
  std::unique_ptr<PackedWeightView> packed;    // WeightForm::packed: what kernels are given, filled in with the buffer
  std::shared_ptr<const StoredWeight> weight;  // null until it is laid out
};

struct LaidOut {
  std::string label;
  std::int64_t bytes;  // of the constant
  bool is_new;         // no other program had it laid out before
};

// Lays out the next weight that is not laid out yet, on all threads of the executor, and gives the buffers its data;
// none where all are. Can be called again after an error.
std::optional<LaidOut> lay_out_next(std::span<WeightRequest> requests, std::span<BufferInfo> buffers,
                                    WeightStore& store, Executor& executor);

}  // namespace lazuli::cpu
