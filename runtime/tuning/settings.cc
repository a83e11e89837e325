// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <lazuli/backends/cpu/host/usable_cores.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/runtime/tuning/settings.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>

namespace lazuli {
namespace {

using Values = std::vector<std::string>;

const Setting table[] = {
    {.name = "threads",
     .owner = SettingOwner::session,
     .concerns_prompt = true,
     .concerns_decode = true,
     .least = 1,
     .most = max_threads,
     .words = {},
     .unit = {},
     .value_name = "N",
     .help = "threads (default: the usable cores)",
     .built_in = [](const SettingScope& scope) { return std::to_string(scope.cores); },
     .measured =
         [](const SettingScope& scope) {
           Values counts;
           for (int count = scope.cores; count > 1; count /= 2) counts.push_back(std::to_string(count / 2));
           return counts;
         }},
    {.name = "chunk",
     .owner = SettingOwner::model,
     .concerns_prompt = true,
     .concerns_decode = false,
     .least = 1,
     .most = std::int64_t{1} << 20,
     .words = {"all"},
     .unit = {},
     .value_name = "C",
     .help = "prompt rows a step, or all (default: the model's)",
     .built_in = [](const SettingScope& scope) { return std::to_string(scope.chunk); },
     .measured =
         [](const SettingScope& scope) {
           constexpr std::int64_t fewest = 64, most = 2048;
           Values rows;
           for (std::int64_t count = fewest; count <= std::min(most, scope.prompt); count *= 2)
             rows.push_back(std::to_string(count));
           return rows;
         }},
    {.name = "altup",
     .owner = SettingOwner::model,
     .concerns_prompt = true,
     .concerns_decode = true,
     .least = 0,
     .most = 0,
     .words = {"stacked", "split"},
     .unit = {},
     .value_name = "FORM",
     .help = "how Gemma 3n's planes are written: stacked or split",
     .built_in = [](const SettingScope& scope) { return std::string(scope.has_altup ? "stacked" : ""); },
     .measured = [](const SettingScope&) { return Values{"split"}; }},
    {.name = fusion_setting,
     .owner = SettingOwner::session,
     .concerns_prompt = true,
     .concerns_decode = true,
     .least = 0,
     .most = 0,
     .words = {},
     .unit = {},
     .value_name = "CHOICE",
     .help = "all, none or primitive, then ,+name or ,-name; these alone change what is in force",
     .built_in = nullptr,
     .measured = nullptr},
    {.name = "split_bytes",
     .owner = SettingOwner::session,
     .concerns_prompt = true,
     .concerns_decode = true,
     .least = 0,
     .most = std::int64_t{1} << 40,
     .words = {},
     .unit = "bytes",
     .value_name = "N",
     .help = "kernel launches that touch fewer bytes run on one thread",
     .built_in = [](const SettingScope&) { return std::string("0"); },
     .measured = [](const SettingScope&) { return Values{"65536", "262144"}; }},
};

std::string replaced(std::string_view name, char (*change)(char)) {
  std::string text(name);
  std::transform(text.begin(), text.end(), text.begin(), change);
  return text;
}

}  // namespace

bool Setting::allows(std::string_view value) const {
  if (std::find(words.begin(), words.end(), value) != words.end()) return true;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  return error == std::errc() && end == value.data() + value.size() && most > 0 && least <= number && number <= most;
}

std::string Setting::expected() const {
  std::string listed = fmt::format("{}", fmt::join(words, " or "));
  if (most == 0) return listed;
  if (!unit.empty()) return fmt::format("a number of {}", unit);
  return fmt::format("a number from {} to {}{}{}", least, most, words.empty() ? "" : ", or ", listed);
}

std::string Setting::variable() const {
  return "LAZULI_" + replaced(name, [](char c) { return 'a' <= c && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
}

std::string Setting::option() const {
  return "--" + replaced(name, [](char c) { return c == '_' ? '-' : c; });
}

std::span<const Setting> settings() { return table; }

const Setting* find_setting(std::string_view name) {
  const auto found =
      std::find_if(std::begin(table), std::end(table), [&](const Setting& row) { return row.name == name; });
  return found == std::end(table) ? nullptr : &*found;
}

const Setting& setting(std::string_view name) {
  if (const Setting* found = find_setting(name)) return *found;
  fail("there is no setting \"{}\"", name);
}

}  // namespace lazuli
