// SPDX-License-Identifier: MIT
// Whom passes and backends tell what fusions decided.
#pragma once

#include <lazuli/passes/verdict.h>

#include <functional>
#include <string>
#include <string_view>

namespace lazuli {

// Both callbacks may be left empty; without `note` no verdict is made.
struct VerdictSink {
  std::function<void(Verdict)> note;
  std::function<std::string(std::string_view)> why_off;  // why the fusion of this name is off

  // Never empty: an empty reason means that a rule fired.
  std::string reason_off(std::string_view name) const {
    std::string reason = why_off ? why_off(name) : std::string();
    return reason.empty() ? "switched off" : reason;
  }
};

}  // namespace lazuli
