// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/lowering/invariant_steps.h>

#include <algorithm>
#include <utility>

namespace lazuli::cpu {
namespace {

std::vector<int> count_writers(ProgramBuilder& body) {
  std::vector<int> writers(body.program().buffers.size());
  for (const Step& step : body.program().steps)
    for (const int buffer : step.writes) ++writers[static_cast<std::size_t>(buffer)];
  return writers;
}

}  // namespace

std::vector<Step> take_invariant_steps(ProgramBuilder& body) {
  const std::vector<int> writers = count_writers(body);
  std::vector<bool> changes(writers.size());
  for (std::size_t buffer = 0; buffer < changes.size(); ++buffer) {
    const BufferKind kind = body.buffer(static_cast<int>(buffer)).kind;
    // What is bound anew for each iteration, by this body or, of a condition's carries, by the loop's.
    changes[buffer] = kind == BufferKind::bound || (body.owns(static_cast<int>(buffer)) &&
                                                    (kind == BufferKind::input || kind == BufferKind::output));
  }
  const auto stays = [&](int buffer) { return !changes[static_cast<std::size_t>(buffer)]; };
  const auto is_its_own = [&](int buffer) {
    return stays(buffer) && body.buffer(buffer).in_between && writers[static_cast<std::size_t>(buffer)] == 1;
  };
  std::vector<Step> invariant, left;
  for (Step& step : body.program().steps) {
    const bool is_invariant = !step.control && std::all_of(step.reads.begin(), step.reads.end(), stays) &&
                              std::all_of(step.writes.begin(), step.writes.end(), is_its_own);
    if (!is_invariant)
      for (const int buffer : step.writes) changes[static_cast<std::size_t>(buffer)] = true;
    (is_invariant ? invariant : left).push_back(std::move(step));
  }
  body.program().steps = std::move(left);
  return invariant;
}

}  // namespace lazuli::cpu
