// SPDX-License-Identifier: MIT
// Runs every golden checkpoint with every combination of settings and prints a line for each: what
// scripts/check-settings keeps in docs/settings-product.txt. Folders named as arguments are the only ones; the summary
// counts those left out. Exit status 1 when one does not match.
#include <fmt/core.h>
#include <lazuli/backends/cpu/host/isa.h>
#include <lazuli/tests/support/golden_model.h>

#include <algorithm>
#include <cstdio>

namespace lazuli::test {
namespace {

struct Summary {
  int settings = 0, failed = 0;
};

Summary check(const GoldenFolder& folder) {
  Summary summary;
  GoldenRun run(folder);
  for (const GoldenSetting& setting : golden_settings(full_product(golden_factors(folder)))) {
    const GoldenOutcome outcome = run.run(setting);
    const char* greedy = !folder.compares_greedy ? "not compared" : outcome.greedy_equal ? "equal" : "DIFFERS";
    const bool passes = run.passes(setting, outcome);
    fmt::print("{:<22} {} max error {:8.2e} of {:.0e}  greedy {:<12} {}\n", folder.name,
               to_string(setting, folder.has_altup), outcome.worst, folder.tolerance_of(setting.fusion), greedy,
               passes ? "ok" : "FAILED");
    std::fflush(stdout);
    ++summary.settings;
    summary.failed += !passes;
  }
  return summary;
}

int check_folders(const std::vector<std::string>& chosen) {
  fmt::print(
      "Golden checkpoints (tests/data/goldens) in every combination of settings, by scripts/check-settings.\n"
      "--precision f32, 2 threads, {}, instruction set {}; four prompts each: logits of all positions, and the\n"
      "greedy continuation token by token.\n\n",
      cpu_name(), to_string(selected_isa()));
  Summary total;
  int left_out = 0;
  for (const GoldenFolder& folder : golden_folders) {
    if (!chosen.empty() && std::ranges::find(chosen, folder.name) == chosen.end()) {
      ++left_out;
      continue;
    }
    const Summary summary = check(folder);
    total.settings += summary.settings;
    total.failed += summary.failed;
  }
  fmt::print("\n{} folders, {} settings, {} failed, {} folders left out\n",
             static_cast<int>(std::size(golden_folders)) - left_out, total.settings, total.failed, left_out);
  return total.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lazuli::test

int main(int argc, char** argv) {
  try {
    return lazuli::test::check_folders({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "check_settings: {}\n", error.what());
    return 1;
  }
}
