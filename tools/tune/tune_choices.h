// SPDX-License-Identifier: MIT
// What the workloads of `lazuli tune` share: which choices there are, and what it is to make them.
#pragma once

#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/session.h>
#include <lazuli/runtime/tuning/tune.h>
#include <lazuli/tools/support/options.h>

#include <memory>
#include <string>
#include <vector>

namespace lazuli::tool {

// What can be chosen in this scope and is not stated in the options; present choices first: those that hold without a
// tuning. Those of models are left out unless asked for.
std::vector<TunableChoice> tunable_choices(const CommonOptions& options, const SettingScope& scope, bool of_models);

CommonOptions with_settings(CommonOptions options, const Settings& settings);

// Of what a program runs: kernels, their order, where threads meet, the shapes they work on.
std::string identity_of(const CompiledGraph& compiled, int threads);

// A session is the evaluator of the thread that makes it. Contenders go in any order: each makes its session on a
// thread that ends, and makes it current where it runs.
std::unique_ptr<Session> make_detached_session(const CommonOptions& options, bool disk_cache);

}  // namespace lazuli::tool
