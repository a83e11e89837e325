#include <lazuli/models/checkpoint_folder.h>
#include <lazuli/models/gemma3.h>
#include <lazuli/models/gguf.h>
#include <lazuli/models/layers.h>
#include <lazuli/models/weights.h>

#include <cmath>

namespace lazuli {
namespace {

struct SelfAttention {
  Linear query, key, value, output;
  RmsNorm query_norm, key_norm;
  std::int64_t heads, kv_heads;
  RopeAttrs rope;
  AttentionAttrs attrs;

  // Writes this step's keys and values into k_cache and v_cache, and reads them from there.
  Array operator()(const Array& x, const StepInputs& step, Array& k_cache, Array& v_cache) const {
    Scope scope("attention");
    const Array q = lazuli::rope(query_norm(split_heads(query(x), heads)), step.positions, rope);
    const Array k = lazuli::rope(key_norm(split_heads(key(x), kv_heads)), step.positions, rope);
    const Array v = split_heads(value(x), kv_heads);
    const bool ring = attrs.window > 0;
    k_cache = slice_update(k_cache, cast(k, k_cache.dtype()), step.start, 0, ring);
    v_cache = slice_update(v_cache, cast(v, v_cache.dtype()), step.start, 0, ring);
    return output(merge_heads(attention(q, k_cache, v_cache, step.positions, step.length, attrs)));
  }
};

struct DecoderLayer {
  RmsNorm input_norm, post_attention_norm, pre_feedforward_norm, post_feedforward_norm;
  SelfAttention attention;
  GatedMlp mlp;

  Array operator()(const Array& x, const StepInputs& step, Array& k_cache, Array& v_cache) const {
    const Array attended = x + post_attention_norm(attention(input_norm(x), step, k_cache, v_cache));
    Scope scope("mlp");
    return attended + post_feedforward_norm(mlp(pre_feedforward_norm(attended)));
  }
};

class Gemma3 final : public LanguageModel {
 public:
  Gemma3(const Gemma3Config& config, Weights weights, std::string name, std::shared_ptr<const Tokenizer> tokenizer)
      : config_(config), tokenizer_(std::move(tokenizer)) {
    const std::int64_t hidden = config.hidden_size;
    embedding_ = weights.take("token_embd.weight", {config.vocab_size, hidden});
    final_norm_ = norm(weights, "output_norm.weight", hidden);
    const auto untied = weights.take_optional("output.weight", {config.vocab_size, hidden});
    head_ = {Linear{untied ? *untied : embedding_}, config.final_softcap};
    for (std::int64_t layer = 0; layer < config.layers; ++layer) layers_.push_back(load_layer(weights, layer));
    weights.ignore("rope_freqs.weight");
    weights.report();

    info_.architecture = "gemma3";
    info_.name = std::move(name);
    info_.layers = config.layers;
    info_.hidden_size = hidden;
    info_.vocab_size = config.vocab_size;
    info_.context_length = config.context_length;
    info_.parameters = weights.parameters();
    info_.weight_bytes = weights.bytes();
    info_.weights_hash = weights.hash();
    // Every weight is read once a token; the embedding as the head, unless there is one of its own.
    info_.bytes_per_token = weights.bytes() - (untied ? embedding_.type().bytes() : 0);
  }

  const ModelInfo& info() const override { return info_; }
  const std::vector<KvCacheShape>& caches() const override { return caches_; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return tokenizer_; }

  StepOutputs forward(const StepInputs& inputs) const override {
    StepOutputs outputs;
    outputs.caches = inputs.caches;
    Array hidden = embed_tokens(embedding_, inputs.tokens);
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      Scope scope("layers", static_cast<std::int64_t>(layer));
      hidden = layers_[layer](hidden, inputs, outputs.caches[2 * layer], outputs.caches[2 * layer + 1]);
    }
    Scope scope("head");
    outputs.logits = head_(final_norm_(hidden));
    return outputs;
  }

 private:
  RmsNorm norm(Weights& weights, const std::string& name, std::int64_t width) const {
    const Array weight = weights.take_f32(name, {width});
    return {weights.norms_plus_one() ? weight + 1.0 : weight, config_.norm_epsilon};
  }

  DecoderLayer load_layer(Weights& weights, std::int64_t index) {
    const Gemma3Config& c = config_;
    const bool sliding = c.sliding[static_cast<std::size_t>(index)];
    auto name = [&](const char* tensor) { return fmt::format("blk.{}.{}.weight", index, tensor); };
    auto matrix = [&](const char* tensor, std::int64_t out, std::int64_t in) { return Linear{weights.take(name(tensor), {out, in})}; };
    DecoderLayer layer;
    layer.input_norm = norm(weights, name("attn_norm"), c.hidden_size);
    layer.post_attention_norm = norm(weights, name("post_attention_norm"), c.hidden_size);
    layer.pre_feedforward_norm = norm(weights, name("ffn_norm"), c.hidden_size);
    layer.post_feedforward_norm = norm(weights, name("post_ffw_norm"), c.hidden_size);
    SelfAttention& attention = layer.attention;
    attention.query = matrix("attn_q", c.heads * c.head_dim, c.hidden_size);
    attention.key = matrix("attn_k", c.kv_heads * c.head_dim, c.hidden_size);
    attention.value = matrix("attn_v", c.kv_heads * c.head_dim, c.hidden_size);
    attention.output = matrix("attn_output", c.hidden_size, c.heads * c.head_dim);
    attention.query_norm = norm(weights, name("attn_q_norm"), c.head_dim);
    attention.key_norm = norm(weights, name("attn_k_norm"), c.head_dim);
    attention.heads = c.heads;
    attention.kv_heads = c.kv_heads;
    attention.rope.base = sliding ? c.rope_base_sliding : c.rope_base_global;
    attention.rope.scale = sliding ? 1.0 : 1.0 / c.rope_factor;
    attention.attrs = {c.attention_scale, sliding ? c.window : 0};
    layer.mlp = {matrix("ffn_gate", c.intermediate_size, c.hidden_size), matrix("ffn_up", c.intermediate_size, c.hidden_size),
                 matrix("ffn_down", c.hidden_size, c.intermediate_size)};
    caches_.push_back({c.kv_heads, c.head_dim, attention.attrs.window});
    return layer;
  }

  Gemma3Config config_;
  ModelInfo info_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  Array embedding_;
  RmsNorm final_norm_;
  LanguageHead head_;
  std::vector<DecoderLayer> layers_;
  std::vector<KvCacheShape> caches_;
};

}  // namespace

Gemma3Config Gemma3Config::from_gguf(const GgufFile& file) {
  auto key = [](const char* name) { return fmt::format("gemma3.{}", name); };
  auto size = [&](const char* name) {
    const auto value = file.get<std::int64_t>(key(name));
    if (value < 1 || value > (std::int64_t{1} << 30)) fail("{}: {} is {}; expected 1 to 2^30", file.name(), key(name), value);
    return value;
  };
  Gemma3Config config;
  config.hidden_size = size("embedding_length");
  config.layers = size("block_count");
  config.intermediate_size = size("feed_forward_length");
  config.heads = size("attention.head_count");
  config.kv_heads = size("attention.head_count_kv");
  config.head_dim = file.get_or<std::int64_t>(key("attention.key_length"), 256);
  config.context_length = size("context_length");
  config.norm_epsilon = file.get_or<double>(key("attention.layer_norm_rms_epsilon"), 1e-6);
  config.window = file.get_or<std::int64_t>(key("attention.sliding_window"), 512);
  config.rope_base_global = file.get_or<double>(key("rope.freq_base"), 1e6);
  config.rope_base_sliding = file.get_or<double>(key("rope.freq_base_swa"), 1e4);
  config.final_softcap = file.get_or<double>(key("final_logit_softcapping"), 0);
  if (file.get_or<std::string_view>(key("rope.scaling.type"), "none") == "linear")
    config.rope_factor = file.get_or<double>(key("rope.scaling.factor"), 1);
  // 27B scales by its width per head, not by the head size (query_pre_attn_scalar is not stored in GGUF).
  config.attention_scale = config.layers == 62 ? 1 / std::sqrt(static_cast<double>(config.hidden_size) / static_cast<double>(config.heads))
                                               : 1 / std::sqrt(static_cast<double>(config.head_dim));
  const auto pattern = file.get_or<std::int64_t>(key("attention.sliding_window_pattern"), 6);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) config.sliding.push_back((layer + 1) % pattern != 0);
  const GgufTensor& embedding = file.tensor("token_embd.weight");
  config.vocab_size = embedding.shape[0];
  return config;
}

Gemma3Config Gemma3Config::from_json(const nlohmann::json& json) {
  Gemma3Config config;
  config.hidden_size = json_size(json, "hidden_size", 2304);
  config.layers = json_size(json, "num_hidden_layers", 26);
  config.intermediate_size = json_size(json, "intermediate_size", 9216);
  config.heads = json_size(json, "num_attention_heads", 8);
  config.kv_heads = json_size(json, "num_key_value_heads", 4);
  config.head_dim = json_size(json, "head_dim", 256);
  config.vocab_size = json_size(json, "vocab_size", 262208);
  config.context_length = json_size(json, "max_position_embeddings", 131072);
  config.norm_epsilon = json_number(json, "rms_norm_eps", 1e-6);
  config.window = json_size(json, "sliding_window", 4096);
  config.sliding = json_sliding_layers(json, config.layers, 6);
  const RopeConfig global = json_rope(json, false, 1e6);
  config.rope_base_global = global.base;
  config.rope_factor = global.factor;
  config.rope_base_sliding = json_rope(json, true, 1e4).base;
  config.attention_scale = 1 / std::sqrt(json_number(json, "query_pre_attn_scalar", 256));
  config.final_softcap = json_number(json, "final_logit_softcapping", 0);
  return config;
}

std::unique_ptr<LanguageModel> make_gemma3(const Gemma3Config& config, Weights weights, std::string name,
                                           std::shared_ptr<const Tokenizer> tokenizer) {
  return std::make_unique<Gemma3>(config, std::move(weights), std::move(name), std::move(tokenizer));
}

}  // namespace lazuli
