// SPDX-License-Identifier: MIT
// Runs sessions of a test at a chosen instruction-set level.
#pragma once

#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/tests/support/environment_variable.h>

#include <string>
#include <vector>

namespace lazuli::test {

// Sets LAZULI_ISA for its life; the variable is read when a session begins.
class ForcedIsa {
 public:
  explicit ForcedIsa(Isa isa) : variable_("LAZULI_ISA", std::string(to_string(isa)).c_str()) {}

 private:
  EnvironmentVariable variable_;
};

inline std::vector<Isa> usable_isas() {
  std::vector<Isa> usable;
  for (const IsaLevel& level : isa_levels())
    if (level.usable) usable.push_back(level.isa);
  return usable;
}

}  // namespace lazuli::test
