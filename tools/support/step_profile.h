// SPDX-License-Identifier: MIT
// One step of a model: its graph, compiled, and what it costs.
#pragma once

#include <lazuli/models/generation/runner.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/tools/support/engine.h>

#include <cstdint>
#include <memory>
#include <string>

namespace lazuli::tool {

// "prefill" or "decode", as the option checks it.
Phase parse_phase(const std::string& name);

// The step as the runner would take it next: a token, or a chunk of 128 rows.
Runner::Step next_step(Runner& runner, Phase phase);
// The same, compiled, which packs the weights it reads.
std::shared_ptr<const CompiledGraph> compile_step(Engine& engine, Runner& runner, Phase phase);

// A prompt chunk of `rows` tokens, or one token, after `depth` others: the same step again and again. Only the cpu
// backend times its steps.
Profile profile_step(Engine& engine, const RunnerOptions& options, Phase phase, std::int64_t rows, std::int64_t depth,
                     ProfileOptions profile = {});

}  // namespace lazuli::tool
