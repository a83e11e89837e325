// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/runtime/tuning/choices.h>

#include <algorithm>
#include <iterator>

namespace lazuli {
namespace {

// Whether a choice can have this value; fusions are on or off.
bool may_be(std::string_view name, std::string_view value) {
  if (const Setting* setting = find_setting(name)) return setting->allows(value);
  return value == "on" || value == "off";
}

// Whether a measurement is a reason for the value it came to.
bool decides(const TunedChoice& choice) {
  constexpr TrialOutcome decided[] = {TrialOutcome::faster, TrialOutcome::slower, TrialOutcome::tie};
  return std::any_of(choice.trials.begin(), choice.trials.end(), [&](const Trial& trial) {
    return std::find(std::begin(decided), std::end(decided), trial.outcome) != std::end(decided);
  });
}

struct ShippedEntry {
  std::string_view vendor;
  int family, model;
  Isa isa;
  std::string_view architecture, name, value, against, part;
  double ratio, low, high;
  std::string_view date;
};

const ShippedEntry shipped_entries[] = {
#define LAZULI_MEASURED(vendor, family, model, isa, architecture, name, value, against, part, ratio, low, high, date) \
  {vendor, family, model, Isa::isa, architecture, name, value, against, part, ratio, low, high, date},
#include <lazuli/runtime/tuning/measured.def>
#undef LAZULI_MEASURED
};

}  // namespace

std::string origin_text(const ChoiceInForce& choice) {
  switch (choice.origin) {
    case ChoiceOrigin::built_in:
      return choice.figures.empty() ? "default" : "default; tuned: " + choice.figures;
    case ChoiceOrigin::shipped:
      return "measured on such a CPU: " + choice.figures;
    case ChoiceOrigin::tuned:
      return "tuned: " + choice.figures;
    case ChoiceOrigin::environment:
    case ChoiceOrigin::stated:
      return choice.source;
  }
  return {};
}

StatedChoices environment_choices(const std::function<const char*(const char* name)>& lookup) {
  StatedChoices stated{ChoiceOrigin::environment, {}, {}};
  stated.spelled = [](std::string_view name) { return setting(name).variable(); };
  for (const Setting& setting : settings())
    if (const char* value = lookup(setting.variable().c_str()); value && *value)
      stated.values.emplace(setting.name, value);
  return stated;
}

MeasuredChoices shipped_choices(const CpuIdentity& cpu, std::string_view architecture) {
  MeasuredChoices measured{ChoiceOrigin::shipped, {}};
  for (const ShippedEntry& entry : shipped_entries) {
    if (entry.vendor != cpu.vendor || entry.family != cpu.family || entry.model != cpu.model || entry.isa != cpu.isa)
      continue;
    if (!entry.architecture.empty() && entry.architecture != architecture) continue;
    const Comparison comparison{TrialOutcome::faster, {entry.ratio, entry.low, entry.high}, 0};
    measured.record.date = std::max(measured.record.date, std::string(entry.date));
    measured.record.choices.push_back({std::string(entry.name),
                                       std::string(entry.value),
                                       {{std::string(entry.value),
                                         std::string(entry.against),
                                         TrialOutcome::faster,
                                         {{std::string(entry.part), comparison}}}}});
  }
  return measured;
}

Choices::Choices(const Settings& built_in, const std::vector<MeasuredChoices>& measured,
                 const std::vector<StatedChoices>& stated) {
  for (const std::string_view name : fusion_names())
    list_.push_back({std::string(name), fusion_.enabled(name) ? "on" : "off", ChoiceOrigin::built_in, {}, {}, {}, {}});
  for (const auto& [name, value] : built_in) list_.push_back({name, value, ChoiceOrigin::built_in, {}, {}, {}, {}});
  for (const MeasuredChoices& source : measured) apply(source);
  for (const StatedChoices& source : stated) apply(source);
}

ChoiceInForce* Choices::find(std::string_view name) {
  const auto found =
      std::find_if(list_.begin(), list_.end(), [&](const ChoiceInForce& choice) { return choice.name == name; });
  return found == list_.end() ? nullptr : &*found;
}

const ChoiceInForce* Choices::find(std::string_view name) const { return const_cast<Choices&>(*this).find(name); }

const std::string& Choices::value(std::string_view name) const {
  const ChoiceInForce* choice = find(name);
  if (choice == nullptr) fail("there is no choice \"{}\"", name);
  return choice->value;
}

void Choices::apply(const MeasuredChoices& measured) {
  for (const TunedChoice& tuned : measured.record.choices) {
    ChoiceInForce* choice = find(tuned.name);
    if (choice == nullptr) continue;  // of a part that is not there: AltUp in a model without it
    if (!may_be(tuned.name, tuned.value)) continue;
    if (!decides(tuned)) {
      if (choice->origin == ChoiceOrigin::built_in) choice->figures = figures_text(tuned);
      continue;
    }
    const bool is_fusion = tuned.value == "on" || tuned.value == "off";
    *choice = {tuned.name,
               tuned.value,
               measured.origin,
               {},
               figures_text(tuned),
               measured.record.date,
               tuned.value == "off" ? loss_text(tuned, "on") : std::string()};
    const bool on = tuned.value == "on";
    if (is_fusion && fusion_.enabled(tuned.name) != on) fusion_.overrides.insert_or_assign(tuned.name, on);
  }
}

void Choices::apply(const StatedChoices& stated) {
  for (const Setting& setting : settings()) {
    const auto given = stated.values.find(setting.name);
    if (given == stated.values.end()) continue;
    const std::string source = stated.spelled(setting.name);
    if (setting.name == fusion_setting) {
      apply_fusion(stated, given->second, source);
      continue;
    }
    if (!setting.allows(given->second))
      fail(ErrorDetails{.op = source, .expected = setting.expected(), .found = given->second},
           "{}: \"{}\" given, expected {}", source, given->second, setting.expected());
    if (ChoiceInForce* choice = find(setting.name))
      *choice = {choice->name, given->second, stated.origin, source, {}, {}, {}};
  }
}

void Choices::apply_fusion(const StatedChoices& stated, std::string_view text, const std::string& source) {
  const FusionChoice choice = FusionChoice::parse(text, {}, source);
  const bool on_top = !text.empty() && (text[0] == '+' || text[0] == '-');
  if (on_top)
    for (const auto& [name, on] : choice.overrides) fusion_.overrides.insert_or_assign(name, on);
  else
    fusion_ = choice;
  for (const std::string_view name : fusion_names())
    if (!on_top || choice.overrides.contains(name))
      *find(name) = {std::string(name), fusion_.enabled(name) ? "on" : "off", stated.origin, source, {}, {}, {}};
}

std::string Choices::why_off(std::string_view fusion) const {
  const ChoiceInForce* choice = find(fusion);
  if (choice == nullptr) return "switched off";
  switch (choice->origin) {
    case ChoiceOrigin::shipped:
      return fmt::format("slower on CPUs like this one: {} (measured {})", choice->loss, choice->date);
    case ChoiceOrigin::tuned:
      return fmt::format("slower on this host: {} (tuned {})", choice->loss, choice->date);
    case ChoiceOrigin::built_in:
      return "off unless it is asked for";
    default:
      return "switched off by " + choice->source;
  }
}

}  // namespace lazuli
