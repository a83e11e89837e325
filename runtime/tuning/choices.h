// SPDX-License-Identifier: MIT
// What is chosen on this machine, and who chose it: defaults < figures shipped for the CPU < tuning files <
// environment < what the caller states. Fusions, threads, chunks and the granularity of the schedule change no bit of a
// result; the forms of AltUp agree within rounding. Choices are the fusions by name, and the settings of settings.h.
#pragma once

#include <lazuli/backends/cpu/host/cpu_identity.h>
#include <lazuli/passes/fusion_choice.h>
#include <lazuli/runtime/tuning/settings.h>
#include <lazuli/runtime/tuning/tuning_record.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

enum class ChoiceOrigin : std::uint8_t {
  built_in,
  shipped,      // measured on CPUs like this one, by the authors
  tuned,        // measured on this host
  environment,  // LAZULI_*
  stated,       // by the caller: an option of a command
};

struct ChoiceInForce {
  std::string name, value;  // fusions are "on" or "off"
  ChoiceOrigin origin = ChoiceOrigin::built_in;
  std::string source;   // environment, stated: how it was said, "LAZULI_FUSION"
  std::string figures;  // where there was a measurement: "1.04x, 1.02 to 1.06"
  std::string date;     // of the measurement
  std::string loss;     // a fusion that a measurement switched off: how fast it was, "0.94x"
};
// "tuned: 1.04x, 1.02 to 1.06", "LAZULI_CHUNK", "default"
std::string origin_text(const ChoiceInForce& choice);

// What somebody said outright.
struct StatedChoices {
  ChoiceOrigin origin = ChoiceOrigin::stated;
  std::function<std::string(std::string_view)> spelled;  // how the setting of this name is said there
  Settings values;  // a fusion text that begins with + or - is on top of what is in force below it
};
// LAZULI_FUSION, LAZULI_THREADS and so on, as `lookup` gives them; null stands for unset, which empty means as well.
StatedChoices environment_choices(const std::function<const char*(const char* name)>& lookup);

struct MeasuredChoices {
  ChoiceOrigin origin = ChoiceOrigin::tuned;
  TuningRecord record;
};
// The entries of measured.def for this CPU and architecture.
MeasuredChoices shipped_choices(const CpuIdentity& cpu, std::string_view architecture);

class Choices {
 public:
  // `built_in` has a value for every choice beside the fusions that is to be listed; later sources win over earlier
  // ones, and what is stated over all that is measured. Throws an Error for a value that a stated choice cannot have.
  Choices(const Settings& built_in, const std::vector<MeasuredChoices>& measured,
          const std::vector<StatedChoices>& stated);

  // Fusions as in fusion_names(), then the others.
  const std::vector<ChoiceInForce>& list() const { return list_; }
  const ChoiceInForce* find(std::string_view name) const;
  const std::string& value(std::string_view name) const;  // throws an Error for a name that is not listed
  const FusionChoice& fusion() const { return fusion_; }
  // Why a fusion is off: "slower on this host: 0.94x (tuned 2026-11-21)".
  std::string why_off(std::string_view fusion) const;

 private:
  void apply(const MeasuredChoices& measured);
  void apply(const StatedChoices& stated);
  void apply_fusion(const StatedChoices& stated, std::string_view text, const std::string& source);
  ChoiceInForce* find(std::string_view name);

  FusionChoice fusion_;
  std::vector<ChoiceInForce> list_;
};

}  // namespace lazuli
