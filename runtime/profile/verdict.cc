// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/runtime/profile/profile_verdict.h>

#include <algorithm>
#include <utility>

namespace lazuli {
namespace {

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

std::string amount(double bytes) {
  return bytes < 1e6 ? fmt::format("{:.0f} KB", bytes * 1e-3)
                     : fmt::format("{:.{}f} MB", bytes * 1e-6, bytes < 1e7 ? 1 : 0);
}

StepBound bound_of(const StepFigures& figures) {
  const StepBound kernels = figures.compute_us > figures.memory_us ? StepBound::compute : StepBound::memory;
  const std::pair<double, StepBound> parts[] = {{figures.matmul_us, kernels},
                                                {figures.waiting_us, StepBound::waiting},
                                                {figures.other_us, StepBound::other_kernels},
                                                {figures.host_us, StepBound::host}};
  return std::max_element(std::begin(parts), std::end(parts),
                          [](const auto& a, const auto& b) { return a.first < b.first; })
      ->second;
}

std::string reason(StepBound bound, const StepFigures& f) {
  const double matmul = percent(f.matmul_us, f.total_us);
  switch (bound) {
    case StepBound::memory:
      if (f.memory_us <= 0) return fmt::format("matmuls and attention take {:.1f} % of the step", matmul);
      return fmt::format(
          "matmuls and attention take {:.1f} % of the step; at the memory's rate their {} would take {:.1f} %", matmul,
          amount(f.streamed_bytes), percent(f.memory_us, f.total_us));
    case StepBound::compute:
      return fmt::format(
          "matmuls and attention take {:.1f} % of the step; at the host's rate their {:.1f} GFLOP would take {:.1f} %",
          matmul, f.operations * 1e-9, percent(f.compute_us, f.total_us));
    case StepBound::waiting:
      return fmt::format("threads wait at barriers or have no work for {:.1f} % of the step",
                         percent(f.waiting_us, f.total_us));
    case StepBound::other_kernels:
      if (f.fused_us > 0)
        return fmt::format(
            "what is neither matmul nor attention takes {:.1f} % of the step: {:.1f} % in {} launches of its own, "
            "{:.1f} % in launches of matmuls",
            percent(f.other_us, f.total_us), percent(f.other_us - f.fused_us, f.total_us), f.other_launches,
            percent(f.fused_us, f.total_us));
      return fmt::format("{} launches that are neither matmul nor attention take {:.1f} % of the step",
                         f.other_launches, percent(f.other_us, f.total_us));
    case StepBound::host:
      return fmt::format("build, lookup, launch and sampling take {:.1f} % of the step",
                         percent(f.host_us, f.total_us));
  }
  return {};
}

// A fusion saves at most all there is of the launches it takes in: their arithmetic, their memory traffic and, where
// they are not split, the time in which other threads have no work.
std::string fusion_reason(const StepFigures& f, const StepVerdict& verdict) {
  const std::string cost =
      fmt::format("{:.1f} us in {} launch{} that move{} {}", f.other_wall_us, f.other_launches,
                  f.other_launches == 1 ? "" : "es", f.other_launches == 1 ? "s" : "", amount(f.other_bytes));
  const std::string fused = f.fused_us > 0 ? fmt::format("; what is fused into launches of matmuls takes {:.1f} %",
                                                         percent(f.fused_us, f.total_us))
                                           : std::string();
  if (!verdict.fusion_pays)
    return fmt::format(
        "no further fusion is justified here: everything that is neither matmul nor attention{} takes {:.1f} % of the "
        "step ({}){}",
        f.fused_us > 0 ? " nor fused with them" : "", 100 * verdict.fusion_share, cost, fused);
  std::string text =
      fmt::format("further fusion could win at most {:.1f} % of the step: {}", 100 * verdict.fusion_share, cost);
  if (f.other_memory_us > 0)
    text += fmt::format(", {:.1f} us of it at the memory's rate", std::min(f.other_memory_us, f.other_wall_us));
  return text + fused;
}

}  // namespace

std::string_view to_string(StepBound bound) {
  constexpr std::string_view names[] = {"memory", "compute", "waiting", "other kernels", "host"};
  return names[static_cast<std::size_t>(bound)];
}

StepVerdict judge(const StepFigures& figures) {
  StepVerdict verdict;
  verdict.bound = bound_of(figures);
  constexpr std::string_view labels[] = {"memory bound", "compute bound", "wait bound", "bound by small kernels",
                                         "host bound"};
  verdict.text = fmt::format("{}: {}", labels[static_cast<std::size_t>(verdict.bound)], reason(verdict.bound, figures));
  verdict.fusion_share = figures.total_us > 0 ? figures.other_wall_us / figures.total_us : 0;
  verdict.fusion_pays = verdict.fusion_share >= min_fusion_share;
  verdict.fusion_text = fusion_reason(figures, verdict);
  return verdict;
}

}  // namespace lazuli
