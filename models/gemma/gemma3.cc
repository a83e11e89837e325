// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/models/gemma/gemma3.h>
#include <lazuli/models/gemma/gemma_model.h>
#include <lazuli/models/gemma/layers.h>

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

class Gemma3 final : public GemmaModel {
 public:
  Gemma3(const Gemma3Config& config, CheckpointParts parts) : GemmaModel(gemma3_model, parts), config_(config) {
    Weights& weights = parts.weights;
    const std::int64_t hidden = config.hidden_size;
    config_.vocab_size = embedding_rows(weights, "token_embd.weight", config.vocab_size);
    embedding_ = weights.take("token_embd.weight", {config_.vocab_size, hidden});
    final_norm_ = norm(weights, "output_norm.weight", hidden);
    const auto untied = weights.take_optional("output.weight", {config_.vocab_size, hidden});
    head_ = {Linear{untied ? *untied : embedding_}, config.final_softcap};
    for (std::int64_t layer = 0; layer < config.layers; ++layer) layers_.push_back(load_layer(weights, layer));
    weights.ignore("rope_freqs.weight");
    weights.report();

    info_.layers = config.layers;
    info_.hidden_size = hidden;
    info_.vocab_size = config_.vocab_size;
    info_.context_length = config.context_length;
    info_.settings = config.settings();
    // The embedding is the head as well, unless there is one of its own.
    weights.describe(info_, {&embedding_, untied ? 1u : 0u});
    info_.bytes_per_token = info_.laid_out_bytes;
  }

  StepOutputs forward(const StepInputs& inputs) const override {
    StepOutputs outputs;
    outputs.caches = inputs.caches;
    Array hidden = embed_tokens(embedding_, inputs.tokens);
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      Scope scope("layers", static_cast<std::int64_t>(layer));
      hidden = layers_[layer](hidden, inputs, outputs.caches[2 * layer], outputs.caches[2 * layer + 1]);
    }
    Scope scope("head");
    outputs.head_input = final_norm_(hidden);
    outputs.logits = head_(outputs.head_input);
    return outputs;
  }

 private:
  RmsNorm norm(Weights& weights, const std::string& name, std::int64_t width) const {
    const Array weight = weights.take_f32(name, {width});
    return {config_.norms_plus_one ? weight + 1.0 : weight, config_.norm_epsilon};
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
  Array embedding_;
  RmsNorm final_norm_;
  LanguageHead head_;
  std::vector<DecoderLayer> layers_;
};

}  // namespace

constinit const ModelDefinition gemma3_model = define_gemma<Gemma3Config, Gemma3>("gemma3", {"gemma3", "gemma3_text"});

}  // namespace lazuli
