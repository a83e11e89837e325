// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/models/checkpoint/config_limits.h>
#include <lazuli/models/checkpoint/gguf_metadata.h>

#include <cmath>

namespace lazuli {

std::int64_t GgufMetadata::checked(const char* name, std::int64_t value, std::int64_t least, std::int64_t most) const {
  if (value < least || value > most)
    fail_file("{}: key {} is {}, expected {} to {}", file_.name(), key(name), value, least, most);
  return value;
}

std::int64_t GgufMetadata::size(const char* name) const {
  return checked(name, file_.get<std::int64_t>(key(name)), 1, max_size);
}

std::int64_t GgufMetadata::size_or(const char* name, std::int64_t otherwise, std::int64_t least) const {
  return checked(name, file_.get_or<std::int64_t>(key(name), otherwise), least, max_size);
}

double GgufMetadata::number_or(const char* name, double otherwise) const {
  const auto value = file_.get_or<double>(key(name), otherwise);
  if (!std::isfinite(value)) fail_file("{}: key {} is {}, expected a finite number", file_.name(), key(name), value);
  return value;
}

double GgufMetadata::rope_factor(double otherwise) const {
  constexpr const char *type_name = "rope.scaling.type", *factor_name = "rope.scaling.factor",
                       *older_name = "rope.scale_linear";
  const auto type = file_.find<std::string_view>(key(type_name));
  if (type == "none") return 1;
  if (type && type != "linear")
    fail_file("{}: key {} is \"{}\", expected none or linear", file_.name(), key(type_name), printable(*type));
  const char* name = has(factor_name) ? factor_name : older_name;
  const double factor = number_or(name, otherwise);
  if (factor < 0) fail_file("{}: key {} is {}, expected 0 (no scaling) or more", file_.name(), key(name), factor);
  return factor == 0 ? 1 : factor;
}

void GgufMetadata::check_causal() const {
  if (!file_.get_or<bool>(key("attention.causal"), true))
    fail_file("{}: key {} is false; only causal attention is supported", file_.name(), key("attention.causal"));
}

std::int64_t GgufMetadata::layers() const {
  return checked("block_count", file_.get<std::int64_t>(key("block_count")), 1, max_layers);
}

std::vector<std::int64_t> GgufMetadata::sizes(const char* name, std::int64_t layers) const {
  const auto values = file_.get_each<std::int64_t>(key(name), static_cast<std::size_t>(layers));
  for (const std::int64_t value : values) checked(name, value, 1, max_size);
  return values;
}

std::vector<bool> GgufMetadata::sliding_layers(std::int64_t layers, std::int64_t default_period) const {
  constexpr const char* name = "attention.sliding_window_pattern";
  const GgufValue* pattern = file_.find_value(key(name));
  if (pattern != nullptr && pattern->is_array) return file_.get_each<bool>(key(name), static_cast<std::size_t>(layers));
  const std::int64_t period = size_or(name, default_period);
  std::vector<bool> sliding;
  for (std::int64_t layer = 0; layer < layers; ++layer) sliding.push_back((layer + 1) % period != 0);
  return sliding;
}

std::int64_t GgufMetadata::rows_or(std::string_view tensor, std::int64_t otherwise) const {
  const Shape* shape = file_.find_shape(tensor);
  return shape == nullptr ? otherwise : shape->front();
}

}  // namespace lazuli
