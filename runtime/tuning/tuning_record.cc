// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/json_text.h>
#include <lazuli/runtime/tuning/tuning_record.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace lazuli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int format_number = 1;

Json part_json(const PartTrial& part) {
  const Comparison& measured = part.comparison;
  return {{"part", part.part},
          {"outcome", to_string(measured.outcome)},
          {"ratio", measured.speed.value},
          {"low", measured.speed.low},
          {"high", measured.speed.high},
          {"pairs", measured.pairs}};
}

Json choice_json(const TunedChoice& choice) {
  Json trials = Json::array();
  for (const Trial& trial : choice.trials) {
    Json parts = Json::array();
    for (const PartTrial& part : trial.parts) parts.push_back(part_json(part));
    trials.push_back({{"value", trial.value},
                      {"against", trial.against},
                      {"outcome", to_string(trial.outcome)},
                      {"parts", std::move(parts)}});
  }
  return {{"name", choice.name}, {"value", choice.value}, {"trials", std::move(trials)}};
}

TrialOutcome read_outcome(const Json& object) {
  const auto name = object.at("outcome").get<std::string>();
  const std::optional<TrialOutcome> outcome = parse_outcome(name);
  if (!outcome) fail("there is no outcome \"{}\"", printable(name));
  return *outcome;
}

double read_ratio(const Json& object, const char* key) {
  const auto value = object.at(key).get<double>();
  if (!(std::isfinite(value) && value > 0)) fail("{} is {}, expected a positive number", key, value);
  return value;
}

int read_integer(const Json& object, const char* key) {
  const Json& value = object.at(key);
  if (!value.is_number_integer()) fail("{} is {}, expected an integer", key, json_text(value));
  return value.get<int>();
}

PartTrial read_part(const Json& object) {
  PartTrial part;
  part.part = object.at("part").get<std::string>();
  part.comparison.outcome = read_outcome(object);
  part.comparison.speed = {read_ratio(object, "ratio"), read_ratio(object, "low"), read_ratio(object, "high")};
  part.comparison.pairs = read_integer(object, "pairs");
  return part;
}

TunedChoice read_choice(const Json& object) {
  TunedChoice choice{object.at("name").get<std::string>(), object.at("value").get<std::string>(), {}};
  for (const Json& entry : object.at("trials")) {
    Trial trial{entry.at("value").get<std::string>(), entry.at("against").get<std::string>(), read_outcome(entry), {}};
    for (const Json& part : entry.at("parts")) trial.parts.push_back(read_part(part));
    choice.trials.push_back(std::move(trial));
  }
  return choice;
}

Ratio inverse(const Ratio& ratio) { return {1 / ratio.value, 1 / ratio.high, 1 / ratio.low}; }

// "1.04x, 1.02 to 1.06", of the value that came out of it, with the name of the other where that is not plain.
std::string parts_text(const Trial& trial, bool taken) {
  const std::string& other = taken ? trial.against : trial.value;
  const bool plain = other == "on" || other == "off";
  std::vector<std::string> texts;
  for (const PartTrial& part : trial.parts) {
    const Ratio speed = taken ? part.comparison.speed : inverse(part.comparison.speed);
    texts.push_back(fmt::format("{}{:.2f}x, {:.2f} to {:.2f}", trial.parts.size() > 1 ? part.part + " " : "",
                                speed.value, speed.low, speed.high));
  }
  return fmt::format("{}{}", fmt::join(texts, "; "), plain ? "" : " over " + other);
}

int fewest_pairs(const Trial& trial) {
  int fewest = std::numeric_limits<int>::max();
  for (const PartTrial& part : trial.parts) fewest = std::min(fewest, part.comparison.pairs);
  return fewest;
}

double best_speed(const Trial& trial) {
  double best = 0;
  for (const PartTrial& part : trial.parts) best = std::max(best, part.comparison.speed.value);
  return best;
}

}  // namespace

const TunedChoice* TuningRecord::find(std::string_view name) const {
  const auto found =
      std::find_if(choices.begin(), choices.end(), [&](const TunedChoice& choice) { return choice.name == name; });
  return found == choices.end() ? nullptr : &*found;
}

std::string to_json(const TuningRecord& record) {
  Json choices = Json::array();
  for (const TunedChoice& choice : record.choices) choices.push_back(choice_json(choice));
  const Json document = {{"format", format_number},       {"cpu", record.key.cpu}, {"model", record.key.model},
                         {"version", record.key.version}, {"date", record.date},   {"choices", std::move(choices)}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

TuningRecord parse_tuning_record(std::string_view json) try {
  const Json document = Json::parse(json);
  if (const int format = read_integer(document, "format"); format != format_number)
    fail("format {} of tuning files is not known; expected {}", format, format_number);
  TuningRecord record;
  record.key = {document.at("cpu").get<std::string>(), document.at("model").get<std::string>(),
                document.at("version").get<std::string>()};
  record.date = document.at("date").get<std::string>();
  for (const Json& choice : document.at("choices")) record.choices.push_back(read_choice(choice));
  return record;
} catch (const Json::exception& error) {
  fail("malformed tuning file: {}", error.what());
}

std::string figures_text(const TunedChoice& choice) {
  const Trial* shown = nullptr;
  for (const Trial& trial : choice.trials) {
    const bool taken = trial.value == choice.value && trial.outcome == TrialOutcome::faster;
    if (taken || shown == nullptr || best_speed(trial) > best_speed(*shown)) shown = &trial;
    if (taken) break;
  }
  if (shown == nullptr) return {};
  switch (shown->outcome) {
    case TrialOutcome::faster:
    case TrialOutcome::slower:
      return parts_text(*shown, shown->outcome == TrialOutcome::faster);
    case TrialOutcome::same:
      return "it makes no difference to what runs";
    case TrialOutcome::unmeasured:
      return "not measured: the time was spent";
    case TrialOutcome::noisy:
      return fmt::format("noisy after {} pairs, {}", fewest_pairs(*shown), parts_text(*shown, false));
    default:
      return fmt::format("{}, {}", to_string(shown->outcome), parts_text(*shown, false));
  }
}

std::string loss_text(const TunedChoice& choice, std::string_view value) {
  double least = 1;
  for (const Trial& trial : choice.trials)
    for (const auto& [part, measured] : trial.parts) {
      if (measured.outcome != trial.outcome) continue;  // a tie in this part
      if (trial.outcome == TrialOutcome::slower && trial.value == value) least = std::min(least, measured.speed.value);
      if (trial.outcome == TrialOutcome::faster && trial.against == value)
        least = std::min(least, 1 / measured.speed.value);
    }
  return least < 1 ? fmt::format("{:.2f}x", least) : std::string();
}

}  // namespace lazuli
