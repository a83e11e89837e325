// SPDX-License-Identifier: MIT
// The families of benchmarks, each in a file of its own.
#pragma once

#include <lazuli/bench/workspace.h>

#include <memory>
#include <string>

namespace lazuli::bench {

void register_limits();
void register_kernels(const std::shared_ptr<Workspace>& workspace);
void register_onednn(const std::shared_ptr<Workspace>& workspace);

// Its version and whether it uses AMX here, or that it is left out and why.
std::string onednn_state();

}  // namespace lazuli::bench
