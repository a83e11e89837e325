// One step of a model, compiled, and what its nodes cost when it ran.
#pragma once

#include <lazuli/backends/session.h>
#include <lazuli/models/runner.h>
#include <lazuli/tools/engine.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lazuli::tool {

// "prefill" or "decode", as the option checks it.
Phase parse_phase(const std::string& name);

// The step as the runner would take it next, as it is built.
Graph built_step(Runner& runner, Phase phase);
// The same, compiled, which packs the weights it reads.
std::shared_ptr<const CompiledGraph> compile_step(Engine& engine, Runner& runner, Phase phase);

// Part of a run: a step on one worker, or its wait at a barrier.
struct ProfiledPart {
  static constexpr std::int32_t waiting = -1;
  std::int32_t node = waiting;  // in the scheduled graph
  int step = Profile::waiting;
  int worker = 0;
  double begin_us = 0, us = 0;
  double bytes = 0;  // the step's, divided evenly among the workers that ran it
};

struct StepProfile {
  Phase phase = Phase::any;
  std::int64_t rows = 1;
  int threads = 0;
  std::shared_ptr<const CompiledGraph> compiled;
  std::vector<ProfiledPart> parts;  // by begin
  std::shared_ptr<const Profile> run;  // as it was taken
  double wall_us = 0;               // of the whole run
  double build_us = 0;              // making the operands of the step
  double lookup_us = 0;             // finding its program

  const Graph& scheduled() const { return compiled->program->scheduled(); }
  // Over all workers, indexed by scheduled node.
  std::vector<double> node_us() const;
  std::vector<double> node_bytes() const;
  double waiting_us(int worker) const;
};

// Runs the model until everything is compiled and the caches are warm, then one step that is timed: a prompt chunk of
// `rows` tokens, or one token after `depth` others. Only the cpu backend times its steps.
StepProfile profile_step(Engine& engine, const RunnerOptions& options, Phase phase, std::int64_t rows,
                         std::int64_t depth);

}  // namespace lazuli::tool
