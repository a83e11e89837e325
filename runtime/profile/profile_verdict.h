// SPDX-License-Identifier: MIT
// What bounds a step, and whether fusing more could help: judged from figures alone.
#pragma once

#include <lazuli/runtime/profile/profile.h>

#include <string>

namespace lazuli {

// Times in microseconds. Those of the run are averages over its threads, so that they add up to the step.
struct StepFigures {
  double total_us = 0;    // the step as its caller sees it
  double host_us = 0;     // of it, outside of the run: build, lookup, launch, sample
  double matmul_us = 0;   // attention included
  double other_us = 0;    // all other kernels
  double fused_us = 0;    // of these, what runs in launches of matmuls and attention
  double waiting_us = 0;  // at barriers and without work
  double memory_us = 0;   // moving what matmuls and attention read and write at the memory's rate; 0: unknown
  double compute_us = 0;  // their arithmetic at the host's rate
  double streamed_bytes = 0, operations = 0;  // of matmuls and attention
  int other_launches = 0;                     // neither matmul nor attention
  double other_wall_us = 0;                   // they take so long one after the other
  double other_bytes = 0;
  double other_memory_us = 0;  // moving these bytes at the memory's rate
};

enum class StepBound : std::uint8_t { memory, compute, waiting, other_kernels, host };
std::string_view to_string(StepBound bound);

struct StepVerdict {
  StepBound bound = StepBound::memory;
  std::string text;          // "memory bound: ..."
  double fusion_share = 0;   // of the step, that a further fusion could win at most
  bool fusion_pays = false;  // fusion_share reaches min_fusion_share
  std::string fusion_text;
};

inline constexpr double min_fusion_share = 0.05;

StepFigures figures_of(const Profile& profile);
StepVerdict judge(const StepFigures& figures);

}  // namespace lazuli
