// GGUF: keys as llama.cpp's converter writes them, types as its quantiser chooses them.
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/models/synth/checkpoint_plan.h>
#include <lazuli/models/synth/vocabulary.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

namespace lazuli::synth {
namespace {

constexpr std::uint64_t alignment = 32;

std::uint64_t aligned(std::uint64_t offset) { return (offset + alignment - 1) / alignment * alignment; }

// Encodes the header: counts, values, tensor list.
class HeaderWriter {
 public:
  template <class T>
  void value(std::string_view key, const T& value) {
    begin(key);
    put(type_of<T>());
    put_value(value);
  }
  template <class T>
  void array(std::string_view key, const std::vector<T>& values) {
    begin(key);
    put(GgufType::array);
    put(type_of<T>());
    put<std::uint64_t>(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) put_value<T>(values[i]);
  }
  // Behind all values; `offset` counts from the start of the data.
  void tensor(const PlacedTensor& placed, std::uint64_t offset) {
    put_value(placed.tensor.name);
    const Shape& shape = placed.tensor.shape;
    put(static_cast<std::uint32_t>(shape.size()));
    for (auto size = shape.rbegin(); size != shape.rend(); ++size) put(*size);
    put(*ggml_type(placed.dtype));
    put(offset);
  }
  std::string finish(std::uint64_t tensors) const {
    HeaderWriter header;
    header.bytes_ = "GGUF";
    header.put<std::uint32_t>(3);
    header.put(tensors);
    header.put(values_);
    std::string bytes = header.bytes_ + bytes_;
    bytes.resize(aligned(bytes.size()));
    return bytes;
  }

 private:
  template <class T>
  static GgufType type_of() {
    if constexpr (std::is_same_v<T, bool>) return GgufType::boolean;
    if constexpr (std::is_same_v<T, std::uint32_t>) return GgufType::u32;
    if constexpr (std::is_same_v<T, std::int32_t>) return GgufType::i32;
    if constexpr (std::is_same_v<T, float>) return GgufType::f32;
    return GgufType::string;
  }
  void begin(std::string_view key) {
    put_value(key);
    ++values_;
  }
  template <class T>
  void put(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
  }
  template <class T>
  void put_value(const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      put(value);
    } else {
      const std::string_view text = value;
      put<std::uint64_t>(text.size());
      bytes_ += text;
    }
  }

  std::string bytes_;
  std::uint64_t values_ = 0;
};

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

const char* family_name(Family family) {
  return family == Family::gemma3 ? "gemma3" : family == Family::gemma3n ? "gemma3n" : "gemma4";
}

std::uint32_t u32(std::int64_t size) { return static_cast<std::uint32_t>(size); }

// A value of each layer: one number where all are alike.
template <class Value>
void each_layer(HeaderWriter& header, const std::string& key, const Architecture& a, Value value) {
  std::vector<std::int32_t> values;
  bool alike = true;
  for (std::int64_t layer = 0; layer < a.layers; ++layer) {
    values.push_back(static_cast<std::int32_t>(value(layer)));
    alike = alike && values.back() == values.front();
  }
  if (alike)
    header.value(key, static_cast<std::uint32_t>(values.front()));
  else
    header.array(key, values);
}

std::vector<bool> sliding_layers(const Architecture& a) {
  std::vector<bool> sliding;
  for (std::int64_t layer = 0; layer < a.layers; ++layer) sliding.push_back(a.is_sliding(layer));
  return sliding;
}

void write_gemma3n(HeaderWriter& header, const std::string& prefix, const Architecture& a) {
  header.value(prefix + "altup.active_idx", u32(0));
  header.value(prefix + "altup.num_inputs", u32(4));
  // How many deviations above its mean a gate must lie: 95 % stay below.
  std::vector<float> cutoffs(static_cast<std::size_t>(a.layers), -std::numeric_limits<float>::infinity());
  std::fill_n(cutoffs.begin(), a.sparse_layers, 1.6448536f);
  header.array(prefix + "activation_sparsity_scale", cutoffs);
}

void write_gemma4(HeaderWriter& header, const std::string& prefix, const Architecture& a) {
  header.value(prefix + "attention.key_length_swa", u32(a.head_dim));
  header.value(prefix + "attention.value_length_swa", u32(a.head_dim));
  header.value(prefix + "rope.dimension_count", u32(a.global_head_dim));
  header.value(prefix + "rope.dimension_count_swa", u32(a.head_dim));
  if (a.experts == 0) return;
  header.value(prefix + "expert_count", u32(a.experts));
  header.value(prefix + "expert_used_count", u32(a.experts_per_token));
  header.value(prefix + "expert_feed_forward_length", u32(a.expert_size));
}

void write_architecture(HeaderWriter& header, const Architecture& a) {
  const std::string prefix = std::string(family_name(a.family)) + '.';
  const std::int64_t width = a.global_head_dim > 0 ? a.global_head_dim : a.head_dim;
  header.value(prefix + "context_length", u32(a.context_length));
  header.value(prefix + "embedding_length", u32(a.hidden_size));
  header.value(prefix + "block_count", u32(a.layers));
  each_layer(header, prefix + "feed_forward_length", a, [&](auto layer) { return a.intermediate_size_of(layer); });
  header.value(prefix + "attention.head_count", u32(a.heads));
  each_layer(header, prefix + "attention.head_count_kv", a, [&](auto layer) { return a.kv_heads_of(layer); });
  header.value(prefix + "attention.key_length", u32(width));
  header.value(prefix + "attention.value_length", u32(width));
  header.value(prefix + "attention.layer_norm_rms_epsilon", 1e-6f);
  header.value(prefix + "attention.sliding_window", u32(a.window));
  header.value(prefix + "rope.freq_base", 1e6f);
  header.value(prefix + "rope.freq_base_swa", 1e4f);
  if (a.rope_factor > 1) {
    header.value(prefix + "rope.scaling.type", "linear");
    header.value(prefix + "rope.scaling.factor", static_cast<float>(a.rope_factor));
  }
  if (a.family == Family::gemma3) return;
  header.array(prefix + "attention.sliding_window_pattern", sliding_layers(a));
  header.value(prefix + "attention.shared_kv_layers", u32(a.shared_kv_layers));
  header.value(prefix + "embedding_length_per_layer_input", u32(a.per_layer_width));
  header.value(prefix + "final_logit_softcapping", 30.0f);
  a.family == Family::gemma3n ? write_gemma3n(header, prefix, a) : write_gemma4(header, prefix, a);
}

void write_tokenizer(HeaderWriter& header, const Architecture& a) {
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
  const bool ranked = a.family == Family::gemma4;
  header.value("tokenizer.ggml.model", ranked ? "gemma4" : "llama");
  if (!ranked) header.value("tokenizer.ggml.pre", "default");
  header.array("tokenizer.ggml.tokens", texts);
  header.array("tokenizer.ggml.scores", scores);
  header.array("tokenizer.ggml.token_type", types);
  if (ranked) header.array("tokenizer.ggml.merges", make_merges(tokens));
  header.value("tokenizer.ggml.bos_token_id", u32(bos_token));
  header.value("tokenizer.ggml.eos_token_id", u32(eos_token));
  header.value("tokenizer.ggml.unknown_token_id", u32(unknown_token));
  header.value("tokenizer.ggml.padding_token_id", u32(pad_token));
  header.value("tokenizer.ggml.eot_token_id", u32(end_of_turn_token));
  header.value("tokenizer.ggml.add_bos_token", true);
  header.value("tokenizer.ggml.add_eos_token", false);
  header.value("tokenizer.ggml.add_space_prefix", false);
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
  HeaderWriter header;
  header.value("general.architecture", family_name(architecture.family));
  header.value("general.name", architecture.name + " with random weights");
  header.value("general.file_type", file_type(quantisation));
  header.value("general.quantization_version", std::uint32_t{2});
  write_architecture(header, architecture);
  write_tokenizer(header, architecture);
  std::uint64_t offset = 0;
  for (Tensor& tensor : gguf_tensors(architecture)) {
    PlacedTensor placed{std::move(tensor), DType::f32};
    placed.dtype = gguf_dtype(architecture, placed.tensor, quantisation);
    placed.offset = offset;
    header.tensor(placed, offset);
    offset = aligned(offset + static_cast<std::uint64_t>(byte_size(placed.dtype, element_count(placed.tensor.shape))));
    file.tensors.push_back(std::move(placed));
  }
  file.header = header.finish(file.tensors.size());
  for (PlacedTensor& placed : file.tensors) placed.offset += file.header.size();
  file.bytes = file.header.size() + offset;
  return file;
}

}  // namespace lazuli::synth
