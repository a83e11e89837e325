// Runs sessions of a test at a chosen instruction-set level.
#pragma once

#include <lazuli/backends/cpu/isa.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace lazuli::test {

// Sets LAZULI_ISA for its life; the variable is read when a session begins.
class ForcedIsa {
 public:
  explicit ForcedIsa(Isa isa) {
    if (const char* before = std::getenv("LAZULI_ISA")) before_ = before;
    setenv("LAZULI_ISA", std::string(to_string(isa)).c_str(), 1);
  }
  ~ForcedIsa() {
    if (before_)
      setenv("LAZULI_ISA", before_->c_str(), 1);
    else
      unsetenv("LAZULI_ISA");
  }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  std::optional<std::string> before_;
};

inline std::vector<Isa> usable_isas() {
  std::vector<Isa> usable;
  for (const IsaLevel& level : isa_levels())
    if (level.usable) usable.push_back(level.isa);
  return usable;
}

}  // namespace lazuli::test
