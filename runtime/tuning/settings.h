// SPDX-License-Identifier: MIT
// The one table of what can be set on a machine beside single fusions: names, values, defaults, what depends on each.
// Environment variables, options of commands, sweeps of `bench`, what `tune` measures and the checks of tuning files
// derive from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// Whose business a setting is.
enum class SettingOwner : std::uint8_t {
  session,  // SessionOptions: how a program is compiled and run
  model,    // ModelOptions and RunnerOptions: how a model writes its graph, and which rows it is given at a time
};

// What defaults, and the values worth measuring, depend on.
struct SettingScope {
  int cores = 1;
  std::int64_t chunk = 0;   // the model's choice
  std::int64_t prompt = 0;  // tokens of the prompt that is measured
  bool has_altup = false;   // the model has planes of AltUp, or there is no model yet
};

struct Setting {
  std::string_view name;  // "split_bytes": LAZULI_SPLIT_BYTES, --split-bytes
  SettingOwner owner;
  bool concerns_prompt, concerns_decode;
  std::int64_t least, most;  // of a number; most 0: it is none
  std::vector<std::string_view> words;
  std::string_view unit;        // of the number, "bytes"; then errors name no bounds
  std::string_view value_name;  // in the help of commands: "N"
  std::string_view help;
  std::string (*built_in)(const SettingScope&);               // null: not listed; empty: not in this scope
  std::vector<std::string> (*measured)(const SettingScope&);  // beside the default; null: measured in a way of its own

  bool allows(std::string_view value) const;
  std::string expected() const;  // "a number from 1 to 1048576, or all"
  std::string variable() const;
  std::string option() const;
};

// The setting "fusion" stands for all fusions at once, as a text that FusionChoice::parse takes and checks.
inline constexpr std::string_view fusion_setting = "fusion";

std::span<const Setting> settings();
const Setting* find_setting(std::string_view name);
const Setting& setting(std::string_view name);  // throws an Error for a name that is not in the table

}  // namespace lazuli
