// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/tools/support/step_profile.h>

#include <algorithm>
#include <vector>

namespace lazuli::tool {
namespace {

constexpr std::int64_t default_rows = 128;
constexpr std::int32_t any_token = 2;

}  // namespace

Phase parse_phase(const std::string& name) { return name == "prefill" ? Phase::prefill : Phase::decode; }

Runner::Step next_step(Runner& runner, Phase phase) {
  return phase == Phase::prefill ? runner.prefill_step(default_rows) : runner.decode_step();
}

std::shared_ptr<const CompiledGraph> compile_step(Engine& engine, Runner& runner, Phase phase) {
  const Runner::Step step = next_step(runner, phase);
  auto compiled = std::static_pointer_cast<const CompiledGraph>(step.function.executable(step.arguments));
  engine.end_progress();
  return compiled;
}

Profile profile_step(Engine& engine, const RunnerOptions& options, Phase phase, std::int64_t rows, std::int64_t depth,
                     ProfileOptions profile) {
  Session& session = engine.session();
  if (session.options().backend != "cpu")
    fail("profile: the {} backend does not time its steps; expected cpu", session.options().backend);
  Runner runner(engine.model(), options);
  rows = phase == Phase::prefill ? std::min(rows, runner.chunk_for(rows)) : 1;
  const std::vector<std::int32_t> context(static_cast<std::size_t>(depth), any_token),
      prompt(static_cast<std::size_t>(rows), any_token);
  if (depth > 0) wait(runner.prefill(context));
  const Array token = Array::from({any_token}, {1});
  const auto step = [&] {
    runner.truncate(depth);
    if (phase == Phase::prefill)
      wait(runner.prefill(prompt));
    else
      runner.decode_greedy(token).item<std::int32_t>();
  };
  step();  // weights are laid out
  engine.end_progress();
  const std::string title =
      fmt::format("{} of {} token{} after {}", to_string(phase), rows, rows == 1 ? "" : "s", depth);
  profile.labels.emplace_back("model", fmt::format("{}, {}", engine.model().info().name, title));
  return lazuli::profile(session, step, profile);
}

}  // namespace lazuli::tool
