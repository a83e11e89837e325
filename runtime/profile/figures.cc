// SPDX-License-Identifier: MIT
// The graph a profile is of, and what follows from it and the limits of the host.
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/profile_verdict.h>
#include <lazuli/runtime/profile/profiled_parts.h>

#include <algorithm>

namespace lazuli {
namespace {

double compute_us(const ProfiledPart& part, const HostLimits& limits) {
  const std::optional<double> rate = part.arithmetic == Arithmetic::int8   ? limits.int8_gops
                                     : part.arithmetic == Arithmetic::bf16 ? limits.bf16_gflops
                                                                           : limits.f32_gflops;
  return rate && *rate > 0 ? part.operations / *rate * 1e-3 : 0;
}

double memory_us(double bytes, const std::optional<HostLimits>& limits) {
  return limits && limits->read_gbps > 0 ? bytes / limits->read_gbps * 1e-3 : 0;
}

}  // namespace

const Graph& Profile::scheduled() const { return compiled->program->scheduled(); }

double Profile::floor_us() const { return memory_us(weight_bytes(), limits); }

double Profile::limit_share(const ProfiledNode& node) const {
  if (!limits || node.wall_us <= 0) return 0;
  double arithmetic_us = 0;
  for (const ProfiledPart& part : parts_of(node)) arithmetic_us += compute_us(part, *limits);
  return std::max(memory_us(node.bytes, limits), arithmetic_us) / node.wall_us;
}

StepFigures figures_of(const Profile& profile) {
  StepFigures figures;
  const StepPipeline& pipeline = profile.pipeline;
  figures.total_us = pipeline.total_us();
  figures.host_us = figures.total_us - pipeline.run_us - pipeline.wait_us;
  for (const ProfiledNode& node : profile.nodes) {
    if (node.kind == StepKind::other) {
      figures.other_us += node.us / profile.threads;
      figures.other_wall_us += node.wall_us;
      figures.other_bytes += node.bytes;
      ++figures.other_launches;
      continue;
    }
    for (const ProfiledPart& part : parts_of(node)) {
      const double us = part.us / profile.threads;
      if (part.kind == StepKind::other) {
        figures.other_us += us;
        figures.fused_us += us;
        continue;
      }
      figures.matmul_us += us;
      figures.streamed_bytes += part.bytes;
      figures.operations += part.operations;
      if (profile.limits) figures.compute_us += compute_us(part, *profile.limits);
    }
  }
  figures.waiting_us =
      (profile.thread_us(ThreadState::barrier) + profile.thread_us(ThreadState::idle)) / profile.threads;
  figures.memory_us = memory_us(figures.streamed_bytes, profile.limits);
  figures.other_memory_us = memory_us(figures.other_bytes, profile.limits);
  return figures;
}

}  // namespace lazuli
