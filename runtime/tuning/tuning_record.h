// SPDX-License-Identifier: MIT
// What a tuning came to, with its figures, as it is kept from one process to the next: a JSON file for each CPU and
// model shape in $XDG_CACHE_HOME/lazuli/tuning.
#pragma once

#include <lazuli/runtime/tuning/tune.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// What figures are good for. All three must be as they were measured.
struct TuningKey {
  std::string cpu;      // to_string(CpuIdentity)
  std::string model;    // its shape, "gemma3 18x640 q4_k"; "" for what holds for any model
  std::string version;  // of this build

  bool operator==(const TuningKey&) const = default;
};

struct TuningRecord {
  TuningKey key;
  std::string date;  // of the measurement, "2026-11-21"
  std::vector<TunedChoice> choices;

  const TunedChoice* find(std::string_view name) const;
};

std::string to_json(const TuningRecord& record);
// Throws an Error that says what is missing or malformed.
TuningRecord parse_tuning_record(std::string_view json);

// Figures of the value a choice came to, in terms of the one it was measured against: "1.04x, 1.02 to 1.06", with the
// name of the part where there is more than one, and "over 256" where it is not just on or off. Where a measurement
// decided nothing it says so: "tie, 1.00x, 0.99 to 1.01". Several values rejected: those of the nearest rival.
std::string figures_text(const TunedChoice& choice);
// How much slower the rejected value `value` was: "0.94x"; "" where it was not measured as slower.
std::string loss_text(const TunedChoice& choice, std::string_view value);

// The identity of this build of the library: of figures, machine code and packed weights on disk.
std::string tuning_version();

struct FoundTuning {
  std::optional<TuningRecord> record;
  std::string note;  // why a file that is there was not taken; one line
};
// The file of this CPU and model below `cache_folder` (default_cache_folder()); nothing where it is empty.
FoundTuning find_tuning(const std::string& cache_folder, const TuningKey& key);
// Takes the file's place by rename. Returns its path. Throws an Error where the folder is not to be trusted or the
// system refuses.
std::string store_tuning(const std::string& cache_folder, const TuningRecord& record);

}  // namespace lazuli
