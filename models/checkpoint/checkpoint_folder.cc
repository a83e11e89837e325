// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/error_text.h>
#include <lazuli/graph/files/json_text.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/config_limits.h>
#include <lazuli/models/checkpoint/tensor_files.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

namespace lazuli {
namespace {

using nlohmann::json;

const json* find(const json& config, const char* key) {
  if (!config.is_object()) return nullptr;
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? nullptr : &*found;
}

// Ids that no token can have are kept, for whoever knows the vocabulary to say so; -1 stands for what 64 bits do not
// hold.
std::vector<std::int64_t> ids_of(const json* value, const char* key) {
  std::vector<std::int64_t> ids;
  if (value == nullptr) return ids;
  auto add = [&](const json& id) {
    if (!id.is_number_integer()) fail_file("{}: found {}, expected token ids", key, json_text(id));
    const bool too_large = id.is_number_unsigned() && !std::in_range<std::int64_t>(id.get<std::uint64_t>());
    ids.push_back(too_large ? -1 : id.get<std::int64_t>());
  };
  if (value->is_array())
    for (const json& id : *value) add(id);
  else
    add(*value);
  return ids;
}

std::vector<std::int32_t> possible_ids(const std::vector<std::int64_t>& stated) {
  std::vector<std::int32_t> ids;
  for (const std::int64_t id : stated)
    if (id >= 0 && std::in_range<std::int32_t>(id)) ids.push_back(static_cast<std::int32_t>(id));
  return ids;
}

// Adds what one file of a folder holds.
void add_file(const CheckpointFolder& folder, const std::string& file,
              std::map<std::string, CheckpointFolder::StoredTensor>& tensors) {
  std::vector<UnsupportedTensor> unsupported;
  auto add = [&](const std::string& name, const Array& array, const std::string& found) {
    const auto [known, is_new] = tensors.emplace(name, CheckpointFolder::StoredTensor{array, found, file});
    if (!is_new)
      fail_file("{}: tensor {} is in {} and in {}, expected it once", folder.path(), one_line(name), known->second.file,
                file);
  };
  for (const auto& [name, array] : read_safetensors(folder.file(file), nullptr, &unsupported)) add(name, array, "");
  for (const UnsupportedTensor& tensor : unsupported) add(tensor.name, Array(), tensor.dtype + to_string(tensor.shape));
}

}  // namespace

json read_json(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail_file("{}: cannot open the file", path);
  try {
    return json::parse(stream);
  } catch (const json::exception& error) {
    fail_file("{}: not valid JSON: {}", path, error.what());
  } catch (const std::ios_base::failure& error) {
    fail_file("{}: cannot read: {}", path, error.code().message());
  }
}

CheckpointFolder CheckpointFolder::open(const std::string& path) {
  CheckpointFolder folder;
  folder.path_ = path;
  while (folder.path_.size() > 1 && folder.path_.back() == '/') folder.path_.pop_back();
  folder.config_ = read_json(folder.file("config.json"));
  if (!folder.config_.is_object())
    fail_file("{}: found {}, expected an object", folder.file("config.json"), folder.config_.type_name());
  if (folder.has_file("generation_config.json")) folder.generation_ = read_json(folder.file("generation_config.json"));
  return folder;
}

bool CheckpointFolder::has_file(const std::string& name) const {
  std::error_code error;
  return std::filesystem::is_regular_file(file(name), error);
}

const json& CheckpointFolder::text_config() const {
  const json* nested = find(config_, "text_config");
  return nested != nullptr && nested->is_object() ? *nested : config_;
}

std::string CheckpointFolder::model_type() const {
  const json* type = find(config_, "model_type");
  if (type == nullptr || !type->is_string()) fail_file("{}: model_type is missing", file("config.json"));
  return type->get<std::string>();
}

std::vector<std::int64_t> CheckpointFolder::token_ids(const char* key) const {
  for (const json* place : {&generation_, &config_, &text_config()})
    if (const json* ids = find(*place, key)) return ids_of(ids, key);
  return {};
}

std::vector<std::int32_t> CheckpointFolder::eos_ids() const { return possible_ids(token_ids("eos_token_id")); }

std::vector<std::int32_t> CheckpointFolder::suppressed_ids() const {
  return possible_ids(ids_of(find(generation_, "suppress_tokens"), "suppress_tokens"));
}

std::map<std::string, CheckpointFolder::StoredTensor> CheckpointFolder::list_tensors(
    std::vector<std::string>* notes) const {
  const TensorFiles files = find_tensor_files(*this);
  if (notes != nullptr && !files.note.empty()) notes->push_back(files.note);
  std::map<std::string, StoredTensor> tensors;
  for (const std::string& file : files.names) add_file(*this, file, tensors);
  for (const auto& [name, shard] : files.placed) tensors.emplace(name, StoredTensor{Array(), "", shard});
  return tensors;
}

std::int64_t json_size(const json& config, const char* key, std::int64_t otherwise, std::int64_t least) {
  const json* value = find(config, key);
  if (value == nullptr) return otherwise;
  if (!value->is_number_integer()) fail_file("config.json: {} is {}, expected an integer", key, json_text(*value));
  const auto size = value->get<std::int64_t>();
  if (size < least || size > max_size) fail_file("config.json: {} is {}, expected {} to 2^30", key, size, least);
  return size;
}

void json_check_causal(const json& config) {
  constexpr const char* key = "use_bidirectional_attention";
  if (const json* value = find(config, key); value != nullptr && *value != false && *value != "vision")
    fail_file("config.json: {} is {}; only causal attention is supported", key, json_text(*value));
  if (!json_flag(config, "is_causal", true))
    fail_file("config.json: is_causal is false; only causal attention is supported");
}

bool json_tied(const json& text_config, const json& config) {
  constexpr const char* key = "tie_word_embeddings";
  return json_flag(text_config, key, json_flag(config, key, true));
}

std::int64_t json_layers(const json& config, std::int64_t otherwise) {
  constexpr const char* key = "num_hidden_layers";
  const std::int64_t layers = json_size(config, key, otherwise);
  if (layers > max_layers) fail_file("config.json: {} is {}, expected at most {}", key, layers, max_layers);
  return layers;
}

double json_number(const json& config, const char* key, double otherwise) {
  const json* value = find(config, key);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) fail_file("config.json: {} is {}, expected a number", key, json_text(*value));
  const auto number = value->get<double>();
  if (!std::isfinite(number)) fail_file("config.json: {} is {}, expected a finite number", key, number);
  return number;
}

bool json_flag(const json& config, const char* key, bool otherwise) {
  const json* value = find(config, key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) fail_file("config.json: {} is {}, expected true or false", key, json_text(*value));
  return value->get<bool>();
}

std::vector<bool> json_sliding_layers(const json& config, std::int64_t layers, std::int64_t default_period) {
  std::vector<bool> sliding;
  if (const json* types = find(config, "layer_types")) {
    if (!types->is_array() || static_cast<std::int64_t>(types->size()) != layers)
      fail_file("config.json: layer_types has {} entries, expected one for each of {} layers", types->size(), layers);
    for (const json& type : *types) {
      if (type != "sliding_attention" && type != "full_attention")
        fail_file("config.json: layer_types names {}, expected \"sliding_attention\" or \"full_attention\"",
                  json_text(type));
      sliding.push_back(type == "sliding_attention");
    }
    return sliding;
  }
  const std::int64_t period =
      json_size(config, "sliding_window_pattern", json_size(config, "_sliding_window_pattern", default_period));
  for (std::int64_t layer = 0; layer < layers; ++layer) sliding.push_back((layer + 1) % period != 0);
  return sliding;
}

RopeConfig json_rope(const json& config, bool sliding, double otherwise_base) {
  RopeConfig rope;
  rope.base = json_number(config, sliding ? "rope_local_base_freq" : "rope_theta", otherwise_base);
  const json* parameters = find(config, "rope_parameters");
  if (parameters != nullptr) {
    const json* nested = find(*parameters, sliding ? "sliding_attention" : "full_attention");
    const bool flat =
        find(*parameters, "sliding_attention") == nullptr && find(*parameters, "full_attention") == nullptr;
    // Flat parameters are those of the global layers; only their kind of scaling never reaches the sliding ones.
    parameters = nested != nullptr ? nested : flat && !sliding ? parameters : nullptr;
  } else if (!sliding) {
    parameters = find(config, "rope_scaling");
  }
  if (parameters == nullptr) return rope;
  rope.base = json_number(*parameters, "rope_theta", rope.base);
  rope.partial_rotary_factor = json_number(*parameters, "partial_rotary_factor", 1);
  const json* type = find(*parameters, "rope_type");
  if (type == nullptr) type = find(*parameters, "type");
  if (type == nullptr || *type == "default") return rope;
  if (*type == "linear") {
    rope.factor = json_number(*parameters, "factor", 1);
    if (!(rope.factor > 0)) fail_file("config.json: the rope factor is {}, expected a positive number", rope.factor);
  } else if (*type == "proportional") {
    rope.proportional = true;
  } else {
    fail_file("config.json: rope_type is {}, expected default, linear or proportional", json_text(*type));
  }
  return rope;
}

}  // namespace lazuli
