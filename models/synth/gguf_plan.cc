// SPDX-License-Identifier: MIT
// GGUF: keys as llama.cpp's converter writes them, types as its quantiser chooses them.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/gguf_writer.h>
#include <lazuli/models/synth/checkpoint_plan.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/vocabulary.h>

namespace lazuli::synth {
namespace {

constexpr std::uint64_t alignment = 32;

std::uint64_t aligned(std::uint64_t offset) { return (offset + alignment - 1) / alignment * alignment; }

// ---- types ----

// The layers whose value and down projections the mix q4_k_m keeps in q6_k.
bool gets_more_bits(std::int64_t layer, std::int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

DType k_type(const Architecture& a, const Tensor& tensor) {
  const bool table = tensor.kind == TensorKind::embedding || tensor.kind == TensorKind::per_layer_table;
  const bool sensitive = tensor.name.ends_with("attn_v.weight") || tensor.name.ends_with("ffn_down.weight") ||
                         tensor.name.ends_with("ffn_down_exps.weight");
  const bool more = table || (sensitive && gets_more_bits(tensor.layer, a.layers));
  const bool whole_blocks = tensor.shape.back() % 256 == 0;
  if (more) return whole_blocks ? DType::q6_k : DType::q8_0;
  return whole_blocks ? DType::q4_k : DType::q5_0;
}

DType gguf_dtype(const Architecture& a, const Tensor& tensor, Quantisation quantisation) {
  if (tensor.shape.size() == 1 || tensor.kind == TensorKind::coefficients || tensor.kind == TensorKind::router)
    return DType::f32;
  if (tensor.kind == TensorKind::plain_matrix) return DType::bf16;
  switch (quantisation) {
    case Quantisation::q4_0:
      return tensor.kind == TensorKind::embedding ? DType::q8_0 : DType::q4_0;
    case Quantisation::q8_0:
      return DType::q8_0;
    case Quantisation::q4_k_m:
      return k_type(a, tensor);
    default:
      return DType::bf16;
  }
}

// ---- metadata ----

// A value of each layer: one number where all are alike.
template <class Value>
void add_each_layer(GgufWriter& writer, const std::string& key, const Architecture& a, Value value) {
  std::vector<std::int32_t> values;
  bool alike = true;
  for (std::int64_t layer = 0; layer < a.layers; ++layer) {
    values.push_back(static_cast<std::int32_t>(value(layer)));
    alike = alike && values.back() == values.front();
  }
  if (alike)
    writer.add(key, static_cast<std::uint32_t>(values.front()));
  else
    writer.add_array(key, values);
}

void write_architecture(GgufWriter& writer, const Architecture& a) {
  const std::string prefix = std::string(files_of(a.family).model.architecture) + '.';
  const std::int64_t width = a.global_head_dim > 0 ? a.global_head_dim : a.head_dim;
  writer.add(prefix + "context_length", u32(a.context_length));
  writer.add(prefix + "embedding_length", u32(a.hidden_size));
  writer.add(prefix + "block_count", u32(a.layers));
  add_each_layer(writer, prefix + "feed_forward_length", a, [&](auto layer) { return a.intermediate_size_of(layer); });
  writer.add(prefix + "attention.head_count", u32(a.heads));
  add_each_layer(writer, prefix + "attention.head_count_kv", a, [&](auto layer) { return a.kv_heads_of(layer); });
  writer.add(prefix + "attention.key_length", u32(width));
  writer.add(prefix + "attention.value_length", u32(width));
  writer.add(prefix + "attention.layer_norm_rms_epsilon", 1e-6f);
  writer.add(prefix + "attention.sliding_window", u32(a.window));
  writer.add(prefix + "rope.freq_base", 1e6f);
  writer.add(prefix + "rope.freq_base_swa", 1e4f);
  if (a.rope_factor > 1) {
    writer.add(prefix + "rope.scaling.type", "linear");
    writer.add(prefix + "rope.scaling.factor", static_cast<float>(a.rope_factor));
  }
  files_of(a.family).add_keys(writer, prefix, a);
}

void write_tokenizer(GgufWriter& writer, const Architecture& a) {
  std::vector<Token> tokens = make_vocabulary(a.family, a.tokens);
  for (std::int64_t id = a.tokens; id < gguf_tokens(a); ++id)
    tokens.push_back({fmt::format("[PAD{}]", id), TokenType::unused});
  std::vector<std::string_view> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const Token& token : tokens) {
    scores.push_back(token.type == TokenType::normal ? -static_cast<float>(texts.size()) : -1000.0f);
    texts.push_back(token.text);
    types.push_back(static_cast<std::int32_t>(token.type));
  }
  const FamilyFiles& files = files_of(a.family);
  const bool ranked = files.merges_whitespace;
  writer.add("tokenizer.ggml.model", files.tokenizer_model);
  if (!ranked) writer.add("tokenizer.ggml.pre", "default");
  writer.add_array("tokenizer.ggml.tokens", texts);
  writer.add_array("tokenizer.ggml.scores", scores);
  writer.add_array("tokenizer.ggml.token_type", types);
  if (ranked) writer.add_array("tokenizer.ggml.merges", make_merges(tokens));
  writer.add("tokenizer.ggml.bos_token_id", u32(bos_token));
  writer.add("tokenizer.ggml.eos_token_id", u32(eos_token));
  writer.add("tokenizer.ggml.unknown_token_id", u32(unknown_token));
  writer.add("tokenizer.ggml.padding_token_id", u32(pad_token));
  writer.add("tokenizer.ggml.eot_token_id", u32(end_of_turn_token));
  writer.add("tokenizer.ggml.add_bos_token", true);
  writer.add("tokenizer.ggml.add_eos_token", false);
  writer.add("tokenizer.ggml.add_space_prefix", false);
}

// llama.cpp's number of the mix.
std::uint32_t file_type(Quantisation quantisation) {
  switch (quantisation) {
    case Quantisation::q4_0:
      return 2;
    case Quantisation::q8_0:
      return 7;
    case Quantisation::q4_k_m:
      return 15;
    default:
      return 32;  // bf16
  }
}

}  // namespace

bool fits_gguf(Quantisation quantisation) {
  return quantisation == Quantisation::bf16 || quantisation == Quantisation::q4_0 ||
         quantisation == Quantisation::q8_0 || quantisation == Quantisation::q4_k_m;
}

PlannedFile plan_gguf(const Architecture& architecture, Quantisation quantisation) {
  if (!fits_gguf(quantisation))
    fail("GGUF does not hold {}; expected bf16, q4_0, q8_0 or q4_k_m",
         quantisation_names[static_cast<std::size_t>(quantisation)]);
  PlannedFile file;
  GgufWriter writer;
  writer.add("general.architecture", files_of(architecture.family).model.architecture);
  writer.add("general.name", architecture.name + " with random weights");
  writer.add("general.file_type", file_type(quantisation));
  writer.add("general.quantization_version", std::uint32_t{2});
  write_architecture(writer, architecture);
  write_tokenizer(writer, architecture);
  std::uint64_t offset = 0;
  for (Tensor& tensor : gguf_tensors(architecture)) {
    PlacedTensor placed{std::move(tensor), DType::f32};
    placed.dtype = gguf_dtype(architecture, placed.tensor, quantisation);
    placed.offset = offset;
    const Shape& shape = placed.tensor.shape;
    writer.add_tensor_info(placed.tensor.name, {shape.rbegin(), shape.rend()}, *ggml_type(placed.dtype), offset);
    offset = aligned(offset + static_cast<std::uint64_t>(byte_size(placed.dtype, element_count(placed.tensor.shape))));
    file.tensors.push_back(std::move(placed));
  }
  file.header = writer.bytes();
  file.header.resize(aligned(file.header.size()));
  for (PlacedTensor& placed : file.tensors) placed.offset += file.header.size();
  file.bytes = file.header.size() + offset;
  return file;
}

}  // namespace lazuli::synth
