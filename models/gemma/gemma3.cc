#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/checkpoint_folder.h>
#include <lazuli/models/checkpoint/gguf_metadata.h>
#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/models/gemma/gemma3.h>
#include <lazuli/models/gemma/layers.h>

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
    k_cache = write_cache_rows(k_cache, k, step.start, ring);
    v_cache = write_cache_rows(v_cache, v, step.start, ring);
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
    // The embedding is the head as well, unless there is one of its own.
    weights.describe(info_, {&embedding_, untied ? 1u : 0u});
    info_.bytes_per_token = info_.laid_out_bytes;
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
    auto matrix = [&](const char* tensor, std::int64_t out, std::int64_t in) {
      return Linear{weights.take(name(tensor), {out, in})};
    };
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
    layer.mlp = {matrix("ffn_gate", c.intermediate_size, c.hidden_size),
                 matrix("ffn_up", c.intermediate_size, c.hidden_size),
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

constexpr std::int64_t default_period = 6;  // every sixth layer is global

// Of the global layers' positions.
double linear_rope_factor(const GgufFile& file, const GgufMetadata& metadata) {
  const auto type = file.get_or<std::string_view>(metadata.key("rope.scaling.type"), "none");
  if (type == "none") return 1;
  if (type != "linear")
    fail("{}: key {} is \"{}\", expected none or linear", file.name(), metadata.key("rope.scaling.type"), type);
  const double factor = metadata.number_or("rope.scaling.factor", 1);
  if (!(factor > 0))
    fail("{}: key {} is {}, expected a positive number", file.name(), metadata.key("rope.scaling.factor"), factor);
  return factor;
}

void check(const Gemma3Config& c, const std::string& source) {
  if (c.heads % c.kv_heads != 0)
    fail("{}: {} attention heads for {} key/value heads; expected a multiple", source, c.heads, c.kv_heads);
  if (c.head_dim % 2 != 0) fail("{}: the head size is {}; expected an even number", source, c.head_dim);
}

}  // namespace

Gemma3Config Gemma3Config::from_gguf(const GgufFile& file) {
  constexpr std::int64_t layers_of_27b = 62;
  const GgufMetadata metadata(file, "gemma3");
  Gemma3Config config;
  config.hidden_size = metadata.size("embedding_length");
  config.layers = metadata.layers();
  config.intermediate_size = metadata.size("feed_forward_length");
  config.heads = metadata.size("attention.head_count");
  config.kv_heads = metadata.size("attention.head_count_kv");
  config.head_dim = metadata.size_or("attention.key_length", 256);
  config.vocab_size = metadata.rows_or("token_embd.weight", 262144);
  config.context_length = metadata.size("context_length");
  config.norm_epsilon = metadata.number_or("attention.layer_norm_rms_epsilon", 1e-6);
  config.window = metadata.size_or("attention.sliding_window", 512);
  config.sliding = metadata.sliding_layers(config.layers, default_period);
  config.rope_base_global = metadata.number_or("rope.freq_base", 1e6);
  config.rope_base_sliding = metadata.number_or("rope.freq_base_swa", 1e4);
  config.rope_factor = linear_rope_factor(file, metadata);
  config.final_softcap = metadata.number_or("final_logit_softcapping", 0);
  // 27B scales by its width per head, not by the head size (query_pre_attn_scalar is not stored in GGUF).
  config.attention_scale = 1 / std::sqrt(config.layers == layers_of_27b ? static_cast<double>(config.hidden_size) /
                                                                              static_cast<double>(config.heads)
                                                                        : static_cast<double>(config.head_dim));
  check(config, file.name());
  return config;
}

Gemma3Config Gemma3Config::from_json(const nlohmann::json& json) {
  Gemma3Config config;
  config.hidden_size = json_size(json, "hidden_size", 2304);
  config.layers = json_layers(json, 26);
  config.intermediate_size = json_size(json, "intermediate_size", 9216);
  config.heads = json_size(json, "num_attention_heads", 8);
  config.kv_heads = json_size(json, "num_key_value_heads", 4);
  config.head_dim = json_size(json, "head_dim", 256);
  config.vocab_size = json_size(json, "vocab_size", 262208);
  config.context_length = json_size(json, "max_position_embeddings", 131072);
  config.norm_epsilon = json_number(json, "rms_norm_eps", 1e-6);
  config.window = json_size(json, "sliding_window", 4096);
  config.sliding = json_sliding_layers(json, config.layers, default_period);
  const RopeConfig global = json_rope(json, false, 1e6);
  config.rope_base_global = global.base;
  config.rope_factor = global.factor;
  config.rope_base_sliding = json_rope(json, true, 1e4).base;
  config.attention_scale = 1 / std::sqrt(json_number(json, "query_pre_attn_scalar", 256));
  config.final_softcap = json_number(json, "final_logit_softcapping", 0);
  check(config, "config.json");
  return config;
}

std::unique_ptr<LanguageModel> make_gemma3(const Gemma3Config& config, Weights weights, std::string name,
                                           std::shared_ptr<const Tokenizer> tokenizer) {
  return std::make_unique<Gemma3>(config, std::move(weights), std::move(name), std::move(tokenizer));
}

}  // namespace lazuli
