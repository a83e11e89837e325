// SPDX-License-Identifier: MIT
// The golden checkpoints, and the settings each of them is computed with: backend, fusion, chunk, and where there is
// one, the form of AltUp.
#pragma once

#include <fmt/format.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/model_options.h>
#include <lazuli/tests/support/pairwise.h>

#include <string>
#include <vector>

namespace lazuli::test {

struct GoldenFolder {
  const char* name;  // in tests/data/goldens
  bool has_altup = false;
  double tolerance = 2e-3;  // of each logit; both sides compute in f32 but add up in another order
  double primitive_tolerance = 2e-3;
  bool compares_greedy = true;

  double tolerance_of(const std::string& fusion) const {
    return fusion == "primitive" ? primitive_tolerance : tolerance;
  }
};

// 30 random layers amplify rounding: two f32 references of gemma3n-gguf-q8_0 differ by 1e-2 and continue differently.
// The reference backend is up to 4.5e-2 away from the golden. The order in which one OpenBLAS core or another adds up
// in one tile or another moves the worst logit between 0.7e-2 and 5.3e-2, and with composites spelled out, which is
// more roundings, to 5.7e-2.
inline constexpr GoldenFolder golden_folders[] = {
    {"gemma3-dense"},           {"gemma3n", true}, {"gemma3n-gguf-q8_0", true, 6e-2, 1e-1, false},
    {"gemma3n-mlx-4bit", true}, {"gemma4-dense"},  {"gemma4-dense-gguf-bf16"},
    {"gemma4-dense-mlx-nvfp4"}, {"gemma4-e"},      {"gemma4-e-gguf-q4_0"},
    {"gemma4-e-mlx-8bit"},      {"gemma4-moe"},    {"gemma4-moe-gguf-q5_0"},
    {"gemma4-moe-mlx-mxfp4"},
};

struct GoldenSetting {
  std::string backend = "cpu";
  std::string fusion = "all";
  std::int64_t chunk = 16;  // rows of a prompt step, or RunnerOptions::whole_prompt
  AltupForm altup = AltupForm::stacked;
};

inline std::string to_string(const GoldenSetting& setting, bool has_altup) {
  const std::string chunk = setting.chunk == RunnerOptions::whole_prompt ? "all" : std::to_string(setting.chunk);
  const char* form = !has_altup ? "-" : setting.altup == AltupForm::stacked ? "stacked" : "split";
  return fmt::format("{:<9} fusion {:<9} chunk {:<3} altup {:<7}", setting.backend, setting.fusion, chunk, form);
}

// How many values each factor has. Chunks are shorter and longer than the windows of 8 positions.
inline std::vector<int> golden_factors(const GoldenFolder& folder) { return {2, 3, 4, folder.has_altup ? 2 : 1}; }

inline std::vector<GoldenSetting> golden_settings(const std::vector<Row>& rows) {
  constexpr const char *backends[] = {"cpu", "reference"}, *fusions[] = {"all", "none", "primitive"};
  constexpr std::int64_t chunks[] = {1, 5, 16, RunnerOptions::whole_prompt};
  constexpr AltupForm forms[] = {AltupForm::stacked, AltupForm::split};
  std::vector<GoldenSetting> settings;
  for (const Row& row : rows) settings.push_back({backends[row[0]], fusions[row[1]], chunks[row[2]], forms[row[3]]});
  return settings;
}

}  // namespace lazuli::test
