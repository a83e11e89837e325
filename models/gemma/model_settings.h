// SPDX-License-Identifier: MIT
// What results depend on beside weights and sizes, by name and as text (ModelInfo::settings).
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lazuli {

class ModelSettings {
 public:
  using List = std::vector<std::pair<std::string, std::string>>;

  ModelSettings& add(const char* name, std::string value) {
    list_.emplace_back(name, std::move(value));
    return *this;
  }
  // As the f32 it is computed with: files store it as text, as f32 or as f64.
  ModelSettings& add(const char* name, double value) { return add(name, text(value)); }
  ModelSettings& add(const char* name, std::int64_t value) { return add(name, std::to_string(value)); }
  ModelSettings& add(const char* name, bool value) { return add(name, std::string(value ? "true" : "false")); }
  // One value a layer, in runs: "10 of 1.6448536, 20 of -inf".
  template <class T>
  ModelSettings& add_layers(const char* name, const std::vector<T>& values) {
    std::string runs;
    for (std::size_t begin = 0, end = 0; begin < values.size(); begin = end) {
      while (end < values.size() && values[end] == values[begin]) ++end;
      runs += fmt::format("{}{} of {}", begin == 0 ? "" : ", ", end - begin, text(values[begin]));
    }
    return add(name, std::move(runs));
  }
  // Which layers see all positions.
  ModelSettings& add_global_layers(const std::vector<bool>& sliding) {
    std::string layers;
    for (std::size_t layer = 0; layer < sliding.size(); ++layer)
      if (!sliding[layer]) layers += fmt::format("{}{}", layers.empty() ? "" : ", ", layer);
    return add("global_layers", layers.empty() ? "none" : std::move(layers));
  }

  List list() && { return std::move(list_); }

 private:
  static std::string text(double value) { return fmt::format("{}", static_cast<float>(value)); }
  static std::string text(std::int64_t value) { return std::to_string(value); }

  List list_;
};

}  // namespace lazuli
