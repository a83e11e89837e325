// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/models/gemma/gemma4.h>
#include <lazuli/models/gemma/gemma_model.h>
#include <lazuli/models/gemma/layers.h>
#include <lazuli/models/gemma/moe.h>

#include <cmath>
#include <optional>
#include <span>

namespace lazuli {
namespace {

struct SelfAttention {
  Linear query, key, value, output;  // value without a weight: the keys serve
  RmsNorm query_norm, key_norm;
  std::int64_t heads, kv_heads;
  double norm_epsilon;
  bool owns_cache;
  RopeAttrs rope;
  AttentionAttrs attrs;

  // An owner writes this step's keys and values into the caches; the others find them there, written by their source.
  Array operator()(const Array& x, const StepInputs& step, Array& k_cache, Array& v_cache) const {
    Scope scope("attention");
    const Array q = lazuli::rope(query_norm(split_heads(query(x), heads)), step.positions, rope);
    if (owns_cache) write(x, step, k_cache, v_cache);
    return output(merge_heads(attention(q, k_cache, v_cache, step.positions, step.length, attrs)));
  }

 private:
  void write(const Array& x, const StepInputs& step, Array& k_cache, Array& v_cache) const {
    const Array keys = split_heads(key(x), kv_heads);
    const Array values = value.weight.defined() ? split_heads(value(x), kv_heads) : keys;
    const Array k = lazuli::rope(key_norm(keys), step.positions, rope), v = rms_norm(values, norm_epsilon);
    const bool ring = attrs.window > 0;
    k_cache = write_cache_rows(k_cache, k, step.start, ring);
    v_cache = write_cache_rows(v_cache, v, step.start, ring);
  }
};

// The mixture of experts beside a layer's MLP. The router sees the residual stream itself, each branch its own norm of
// it.
struct ExpertBranch {
  Router router;
  Experts experts;
  RmsNorm pre_norm, post_norm, dense_post_norm;

  Array operator()(const Array& x, const Array& dense) const {
    return dense_post_norm(dense) + post_norm(experts(pre_norm(x), router(x)));
  }
};

struct DecoderLayer {
  RmsNorm input_norm, post_attention_norm, pre_feedforward_norm, post_feedforward_norm;
  SelfAttention attention;
  GatedMlp mlp;
  std::optional<ExpertBranch> expert_branch;
  std::optional<PerLayerUpdate> per_layer_update;
  std::optional<Array> scale;  // [1]

  Array operator()(const Array& x, const Array& per_layer_input, const StepInputs& step, Array& k_cache,
                   Array& v_cache) const {
    const Array attended = x + post_attention_norm(attention(input_norm(x), step, k_cache, v_cache));
    Array result = attended + post_feedforward_norm(feedforward(attended));
    if (per_layer_update) result = result + (*per_layer_update)(result, per_layer_input);
    return scale ? result * *scale : result;
  }

 private:
  Array feedforward(const Array& x) const {
    Scope scope("mlp");
    const Array dense = mlp(pre_feedforward_norm(x));
    return expert_branch ? (*expert_branch)(x, dense) : dense;
  }
};

// Takes the tensors of a model out of its weights, by GGUF's names.
class Gemma4Loader {
 public:
  Gemma4Loader(const Gemma4Config& config, Weights& weights) : config_(config), weights_(weights) {}

  // Tables of which a token reads a row, and tensors no layer uses.
  std::span<const Array> left_in_file() const { return left_in_file_; }
  // Of the experts that one token is not sent to.
  std::int64_t idle_expert_bytes() const { return idle_expert_bytes_; }

  Array embedding() { return weights_.take("token_embd.weight", {config_.vocab_size, config_.hidden_size}); }

  Linear head(const Array& embedding) {
    const auto untied = weights_.take_optional("output.weight", {config_.vocab_size, config_.hidden_size});
    if (untied) left_in_file_.push_back(embedding);
    return {untied ? *untied : embedding};
  }

  RmsNorm norm(const std::string& name, std::int64_t width) {
    return {weights_.take_f32(name, {width}), config_.norm_epsilon};
  }

  std::optional<PerLayerInputs> per_layer_inputs() {
    const std::int64_t width = config_.per_layer_width, layers = static_cast<std::int64_t>(config_.layers.size());
    if (width == 0) return std::nullopt;
    PerLayerInputs inputs;
    inputs.table = weights_.take("per_layer_token_embd.weight", {config_.per_layer_vocab_size, layers * width});
    inputs.projection = {weights_.take("per_layer_model_proj.weight", {layers * width, config_.hidden_size})};
    inputs.projection_norm = norm("per_layer_proj_norm.weight", width);
    inputs.layers = layers;
    left_in_file_.push_back(inputs.table);
    return inputs;
  }

  DecoderLayer layer(std::size_t index) {
    scope_ = fmt::format("blk.{}.", index);
    const Gemma4Layer& c = config_.layers[index];
    const std::int64_t hidden = config_.hidden_size;
    DecoderLayer layer;
    layer.input_norm = layer_norm("attn_norm");
    layer.post_attention_norm = layer_norm("post_attention_norm");
    layer.pre_feedforward_norm = layer_norm("ffn_norm");
    layer.post_feedforward_norm = layer_norm("post_ffw_norm");
    layer.attention = attention(c, c.kv_source == static_cast<std::int64_t>(index));
    layer.mlp = {matrix("ffn_gate", c.intermediate_size, hidden), matrix("ffn_up", c.intermediate_size, hidden),
                 matrix("ffn_down", hidden, c.intermediate_size)};
    if (config_.experts > 0) layer.expert_branch = expert_branch();
    if (const std::int64_t width = config_.per_layer_width; width > 0)
      layer.per_layer_update =
          PerLayerUpdate{matrix("inp_gate", width, hidden), matrix("proj", hidden, width), layer_norm("post_norm")};
    if (weights_.has(scope_ + "layer_output_scale.weight"))
      layer.scale = weights_.take_f32(scope_ + "layer_output_scale.weight", {1});
    return layer;
  }

 private:
  Linear matrix(const char* name, std::int64_t out, std::int64_t in) {
    return {weights_.take(scope_ + name + ".weight", {out, in})};
  }
  RmsNorm layer_norm(const char* name) { return norm(scope_ + name + ".weight", config_.hidden_size); }

  SelfAttention attention(const Gemma4Layer& c, bool owns_cache) {
    const std::int64_t hidden = config_.hidden_size, q_width = config_.heads * c.head_dim,
                       kv_width = c.kv_heads * c.head_dim;
    SelfAttention attention;
    attention.query = matrix("attn_q", q_width, hidden);
    attention.output = matrix("attn_output", hidden, q_width);
    attention.query_norm = norm(scope_ + "attn_q_norm.weight", c.head_dim);
    attention.owns_cache = owns_cache;
    if (owns_cache) {
      attention.key = matrix("attn_k", kv_width, hidden);
      if (c.sliding || !config_.keys_are_values) attention.value = matrix("attn_v", kv_width, hidden);
      attention.key_norm = norm(scope_ + "attn_k_norm.weight", c.head_dim);
    } else {
      // Published files hold tensors here that no layer uses.
      for (const char* name : {"attn_k.weight", "attn_v.weight"}) leave_unread(scope_ + name, {kv_width, hidden});
      leave_unread(scope_ + "attn_k_norm.weight", {c.head_dim});
    }
    attention.heads = config_.heads;
    attention.kv_heads = c.kv_heads;
    attention.norm_epsilon = config_.norm_epsilon;
    attention.attrs = {1.0, c.sliding ? config_.window : 0};
    attention.rope.base = c.sliding ? config_.rope_base_sliding : config_.rope_base_global;
    if (!c.sliding) {
      attention.rope.scale = 1 / config_.rope_factor;
      attention.rope.rotated_pairs =
          static_cast<std::int64_t>(config_.global_rotary_factor * static_cast<double>(c.head_dim) / 2);
    }
    return attention;
  }

  void leave_unread(const std::string& name, const Shape& shape) {
    if (const auto tensor = weights_.take_optional(name, shape)) left_in_file_.push_back(*tensor);
  }

  ExpertBranch expert_branch() {
    const std::int64_t hidden = config_.hidden_size, experts = config_.experts, width = config_.expert_size;
    ExpertBranch branch;
    branch.pre_norm = layer_norm("pre_ffw_norm_2");
    branch.post_norm = layer_norm("post_ffw_norm_2");
    branch.dense_post_norm = layer_norm("post_ffw_norm_1");
    const Array scale = weights_.take_f32(scope_ + "ffn_gate_inp.scale", {hidden});
    branch.router.norm = {scale * (1 / std::sqrt(static_cast<double>(hidden))), config_.norm_epsilon};
    branch.router.logits = matrix("ffn_gate_inp", experts, hidden);
    branch.router.per_expert_scale = weights_.take_f32(scope_ + "ffn_down_exps.scale", {experts});
    branch.router.chosen = config_.experts_per_token;
    branch.experts.gate_up = weights_.take_optional(scope_ + "ffn_gate_up_exps.weight", {experts, 2 * width, hidden});
    if (branch.experts.gate_up) {
      note_experts(*branch.experts.gate_up);
    } else {
      branch.experts.gate = note_experts(weights_.take(scope_ + "ffn_gate_exps.weight", {experts, width, hidden}));
      branch.experts.up = note_experts(weights_.take(scope_ + "ffn_up_exps.weight", {experts, width, hidden}));
    }
    branch.experts.down = note_experts(weights_.take(scope_ + "ffn_down_exps.weight", {experts, hidden, width}));
    return branch;
  }

  Array note_experts(const Array& stack) {
    idle_expert_bytes_ += stack.type().bytes() / config_.experts * (config_.experts - config_.experts_per_token);
    return stack;
  }

  const Gemma4Config& config_;
  Weights& weights_;
  std::string scope_;
  std::vector<Array> left_in_file_;
  std::int64_t idle_expert_bytes_ = 0;
};

class Gemma4 final : public GemmaModel {
 public:
  Gemma4(const Gemma4Config& config, CheckpointParts parts) : GemmaModel(gemma4_model, parts), config_(config) {
    Weights& weights = parts.weights;
    config_.vocab_size = embedding_rows(weights, "token_embd.weight", config.vocab_size);
    if (config.per_layer_width > 0)
      config_.per_layer_vocab_size =
          embedding_rows(weights, "per_layer_token_embd.weight", config.per_layer_vocab_size);
    Gemma4Loader loader(config_, weights);
    embedding_ = loader.embedding();
    final_norm_ = loader.norm("output_norm.weight", config.hidden_size);
    head_ = {loader.head(embedding_), config_.final_softcap};
    per_layer_inputs_ = loader.per_layer_inputs();
    for (std::size_t index = 0; index < config.layers.size(); ++index) {
      layers_.push_back(loader.layer(index));
      add_cache(index);
    }
    weights.ignore("rope_freqs.weight");  // which pairs rotate is part of the configuration
    weights.report();

    info_.layers = static_cast<std::int64_t>(config.layers.size());
    info_.hidden_size = config.hidden_size;
    info_.vocab_size = config_.vocab_size;
    info_.context_length = config.context_length;
    info_.settings = config.settings();
    weights.describe(info_, loader.left_in_file());
    // 12B, 26B and 31B expect one; E2B and E4B do not.
    info_.empty_thought = config_.per_layer_width == 0;
    info_.bytes_per_token = info_.laid_out_bytes - loader.idle_expert_bytes();
  }

  StepOutputs forward(const StepInputs& inputs) const override {
    StepOutputs outputs;
    outputs.caches = inputs.caches;
    Array hidden = embed_tokens(embedding_, inputs.tokens), per_layer;
    if (per_layer_inputs_) per_layer = (*per_layer_inputs_)(inputs.tokens, hidden);
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      Scope scope("layers", static_cast<std::int64_t>(layer));
      const Array input = per_layer.defined() ? index(per_layer, 1, static_cast<std::int64_t>(layer)) : Array();
      const std::size_t cache = 2 * cache_of_layer_[layer];
      hidden = layers_[layer](hidden, input, inputs, outputs.caches[cache], outputs.caches[cache + 1]);
    }
    Scope scope("head");
    outputs.head_input = final_norm_(hidden);
    outputs.logits = head_(outputs.head_input);
    return outputs;
  }

 private:
  void add_cache(std::size_t layer) {
    const Gemma4Layer& c = config_.layers[layer];
    const auto source = static_cast<std::size_t>(c.kv_source);
    if (source != layer) return cache_of_layer_.push_back(cache_of_layer_[source]);
    cache_of_layer_.push_back(caches_.size());
    caches_.push_back({c.kv_heads, c.head_dim, c.sliding ? config_.window : 0});
  }

  Gemma4Config config_;
  Array embedding_;
  std::optional<PerLayerInputs> per_layer_inputs_;
  RmsNorm final_norm_;
  LanguageHead head_;
  std::vector<DecoderLayer> layers_;
  std::vector<std::size_t> cache_of_layer_;
};

}  // namespace

constinit const ModelDefinition gemma4_model =
    define_gemma<Gemma4Config, Gemma4>("gemma4", {"gemma4", "gemma4_text", "gemma4_unified"});

}  // namespace lazuli
