// SPDX-License-Identifier: MIT
// Tuning files: the record, what is said of it, and the choices that come into force by it.
#include <lazuli/runtime/tuning/choices.h>
#include <lazuli/runtime/tuning/settings.h>
#include <lazuli/runtime/tuning/tuning_record.h>
#include <lazuli/tests/fuzz/fuzzing.h>

namespace lazuli::fuzz {
namespace {

Settings built_in() {
  Settings values;
  for (const Setting& setting : settings())
    if (setting.built_in != nullptr)
      if (std::string value = setting.built_in({.cores = 2, .chunk = 64, .prompt = 64, .has_altup = true});
          !value.empty())
        values.emplace(setting.name, std::move(value));
  return values;
}

void describe(const TuningRecord& record) {
  for (const TunedChoice& choice : record.choices) {
    figures_text(choice);
    for (const char* value : {"on", "off"}) loss_text(choice, value);
  }
}

void choose(const TuningRecord& record) {
  static const Settings values = built_in();
  const Choices choices(values, {{ChoiceOrigin::tuned, record}}, {});
  for (const ChoiceInForce& choice : choices.list()) {
    origin_text(choice);
    if (const Setting* setting = find_setting(choice.name))
      require(choice.origin == ChoiceOrigin::built_in || setting->allows(choice.value),
              "a tuning file sets nothing to what it cannot be", choice.value);
  }
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  TuningRecord record;
  if (!fuzz::accepted([&] { record = parse_tuning_record(fuzz::text_of(data, size)); })) return 0;
  fuzz::describe(record);
  fuzz::choose(record);
  const std::string json = to_json(record);
  TuningRecord again;
  fuzz::require(fuzz::accepted([&] { again = parse_tuning_record(json); }), "what was written is read", json);
  fuzz::require(to_json(again) == json, "a record comes back from its file", json);
  return 0;
}
