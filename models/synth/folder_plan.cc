// SPDX-License-Identifier: MIT
// Folders as Hugging Face and MLX publish them: config.json, the tokenizer's files, safetensors.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/models/synth/checkpoint_plan.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/vocabulary.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace lazuli::synth {
namespace {

using Json = nlohmann::ordered_json;

bool is_mlx(Quantisation quantisation) { return quantisation != Quantisation::bf16; }

// ---- config.json ----

Json quantisation_config(Quantisation quantisation) {
  if (quantisation == Quantisation::nvfp4) return {{"group_size", 16}, {"bits", 4}, {"mode", "nvfp4"}};
  return {{"group_size", 64}, {"bits", quantisation == Quantisation::mlx4 ? 4 : 8}, {"mode", "affine"}};
}

// MLX keeps routers of experts in 8 bits.
bool is_router_override(const PlacedTensor& placed, Quantisation quantisation) {
  return quantisation == Quantisation::mlx4 && placed.tensor.kind == TensorKind::router;
}

std::string without_leaf(const std::string& name) { return name.substr(0, name.rfind('.')); }

Json config(const Architecture& a, Quantisation quantisation, const std::vector<PlacedTensor>& tensors) {
  Json whole = text_config(a);
  const FamilyFiles& files = files_of(a.family);
  if (a.multimodal) whole = {{"model_type", files.model.architecture}, {"text_config", std::move(whole)}};
  whole["torch_dtype"] = "bfloat16";
  whole["bos_token_id"] = bos_token;
  whole["eos_token_id"] = files.end_tokens;
  whole["pad_token_id"] = pad_token;
  if (!is_mlx(quantisation)) return whole;
  Json quantised = quantisation_config(quantisation);
  for (const PlacedTensor& placed : tensors)
    if (is_router_override(placed, quantisation))
      quantised[without_leaf(placed.tensor.name)] = {{"group_size", 64}, {"bits", 8}};
  whole["quantization"] = quantised;
  whole["quantization_config"] = quantised;
  return whole;
}

// ---- the tokenizer ----

constexpr const char* space = "\xe2\x96\x81";

Json tokenizer(const Architecture& a) {
  std::vector<Token> tokens = make_vocabulary(a.family, a.tokens);
  Json added = Json::array(), vocabulary = Json::object();
  // Appended, as texts differ: operator[] would look through all keys before.
  auto& entries = vocabulary.get_ref<Json::object_t&>();
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    Token& token = tokens[id];
    // Normalised text holds no spaces: runs of them are spelled as what stands for them.
    if (token.text.size() > 1 && token.text.find_first_not_of(' ') == std::string::npos) {
      std::string run;
      for (std::size_t i = 0; i < token.text.size(); ++i) run += space;
      token = {std::move(run), TokenType::normal};
    }
    entries.push_back({token.text, id});
    const bool special = token.type == TokenType::control || token.type == TokenType::unknown;
    if (special || token.type == TokenType::user_defined)
      added.push_back({{"id", id},
                       {"content", token.text},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", special}});
  }
  const Json unspace = {{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added)},
          {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}}},
          {"pre_tokenizer",
           {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Sequence"}, {"decoders", {unspace, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"ignore_merges", false},
            {"vocab", std::move(vocabulary)},
            {"merges", make_merges(tokens)}}}};
}

PlannedFile text_file(std::string name, const Json& content, int indent) {
  PlannedFile file;
  file.name = std::move(name);
  file.header = content.dump(indent) + '\n';
  file.bytes = file.header.size();
  return file;
}

// ---- safetensors ----

DType folder_dtype(const Tensor& tensor, Quantisation quantisation) {
  constexpr std::int64_t group = 64;  // of the affine types, and the block of nvfp4
  const bool whole_groups = tensor.shape.size() > 1 && tensor.shape.back() % group == 0;
  if (!is_mlx(quantisation) || !whole_groups) return DType::bf16;
  const bool router = tensor.kind == TensorKind::router;
  if (quantisation == Quantisation::nvfp4) return router ? DType::bf16 : DType::nvfp4;
  return quantisation == Quantisation::mlx8 || router ? DType::affine8_64 : DType::affine4_64;
}

// An array of a safetensors file.
struct StoredArray {
  SafetensorsEntry entry;
  std::uint64_t* offset;  // of the tensor it is, or is part of

  std::uint64_t bytes() const { return static_cast<std::uint64_t>(entry.type.bytes()); }
};

// One array for a plain tensor; codes, scales and biases for a quantised one.
std::vector<StoredArray> arrays_of(PlacedTensor& placed) {
  const Shape& shape = placed.tensor.shape;
  if (!is_quantised(placed.dtype)) return {{{placed.tensor.name, {DType::bf16, shape}}, &placed.offset}};
  const std::string module = without_leaf(placed.tensor.name);
  const auto with_columns = [&](std::int64_t columns) {
    Shape result = shape;
    result.back() = columns;
    return result;
  };
  const bool nvfp4 = placed.dtype == DType::nvfp4;
  const std::int64_t bits = placed.dtype == DType::affine8_64 ? 8 : 4, group = nvfp4 ? 16 : 64;
  const Shape groups = with_columns(shape.back() / group);
  std::vector<StoredArray> arrays = {
      {{placed.tensor.name, {DType::u32, with_columns(shape.back() * bits / 32)}}, &placed.offset},
      {{module + ".scales", {nvfp4 ? DType::u8 : DType::bf16, groups}}, &placed.scales_offset}};
  if (!nvfp4) arrays.push_back({{module + ".biases", {DType::bf16, groups}}, &placed.biases_offset});
  return arrays;
}

std::uint64_t stored_bytes(PlacedTensor& placed) {
  std::uint64_t total = 0;
  for (const StoredArray& array : arrays_of(placed)) total += array.bytes();
  return total;
}

// Fills in header and offsets.
void lay_out(PlannedFile& file) {
  std::vector<StoredArray> arrays;
  for (PlacedTensor& placed : file.tensors) std::ranges::move(arrays_of(placed), std::back_inserter(arrays));
  std::vector<SafetensorsEntry> entries;
  for (const StoredArray& array : arrays) entries.push_back(array.entry);
  file.header = safetensors_header(entries, {{"format", "pt"}});
  file.bytes = file.header.size();
  for (const StoredArray& array : arrays) {
    *array.offset = file.bytes;
    file.bytes += array.bytes();
  }
}

// Tensors in order; a shard ends where the next tensor would exceed `shard_bytes`.
std::vector<PlannedFile> shards_of(std::vector<PlacedTensor> tensors, std::uint64_t shard_bytes) {
  std::vector<PlannedFile> shards(1);
  std::uint64_t bytes = 0;
  for (PlacedTensor& placed : tensors) {
    const std::uint64_t more = stored_bytes(placed);
    if (bytes > 0 && bytes + more > shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += more;
    shards.back().tensors.push_back(std::move(placed));
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards[i].name = shards.size() == 1 ? "model.safetensors"
                                        : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    lay_out(shards[i]);
  }
  return shards;
}

Json index_of(std::vector<PlannedFile>& shards) {
  Json map = Json::object();
  std::uint64_t total = 0;
  for (PlannedFile& shard : shards) {
    total += shard.bytes - shard.header.size();
    for (PlacedTensor& placed : shard.tensors)
      for (const StoredArray& array : arrays_of(placed)) map[array.entry.name] = shard.name;
  }
  return {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}};
}

}  // namespace

bool fits_folder(Quantisation quantisation) { return quantisation == Quantisation::bf16 || !fits_gguf(quantisation); }

std::vector<PlannedFile> plan_folder(const Architecture& architecture, Quantisation quantisation,
                                     std::uint64_t shard_bytes) {
  if (!fits_folder(quantisation))
    fail("folders do not hold {}; expected bf16, mlx4, mlx8 or nvfp4",
         quantisation_names[static_cast<std::size_t>(quantisation)]);
  std::vector<PlacedTensor> tensors;
  for (Tensor& tensor : folder_tensors(architecture, is_mlx(quantisation))) {
    const DType dtype = folder_dtype(tensor, quantisation);
    tensors.push_back({std::move(tensor), dtype});
  }
  std::vector<PlannedFile> files;
  files.push_back(text_file("config.json", config(architecture, quantisation, tensors), 2));
  files.push_back(text_file("generation_config.json",
                            {{"bos_token_id", bos_token}, {"eos_token_id", files_of(architecture.family).end_tokens}},
                            2));
  files.push_back(text_file("tokenizer_config.json", {{"bos_token", "<bos>"}, {"eos_token", "<eos>"}}, 2));
  files.push_back(text_file("tokenizer.json", tokenizer(architecture), -1));
  std::vector<PlannedFile> shards = shards_of(std::move(tensors), shard_bytes);
  if (shards.size() > 1) files.push_back(text_file("model.safetensors.index.json", index_of(shards), 2));
  std::ranges::move(shards, std::back_inserter(files));
  return files;
}

}  // namespace lazuli::synth
