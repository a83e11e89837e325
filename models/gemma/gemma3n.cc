// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/models/gemma/altup.h>
#include <lazuli/models/gemma/gemma3n.h>
#include <lazuli/models/gemma/gemma_model.h>

#include <numbers>
#include <optional>

namespace lazuli {
namespace {

// Keeps the large activations of each row: relu(x − (mean + cutoff · deviation)), with the deviation of the row itself.
Array keep_largest(const Array& x, double cutoff) {
  const Array centre = mean(x, {-1}, /*keep_dims=*/true);
  const Array deviation = sqrt(mean(square(x - centre), {-1}, /*keep_dims=*/true));
  return maximum(x - (centre + deviation * cutoff), 0);
}

struct SparseMlp {
  Linear gate, up, down;
  double sparsity_cutoff;

  Array operator()(const Array& x) const {
    Scope scope("mlp");
    const Array gated = gate(x);
    const Array kept = sparsity_cutoff > Gemma3nConfig::dense ? keep_largest(gated, sparsity_cutoff) : gated;
    return down(gelu_tanh(kept) * up(x));
  }
};

// Learned augmented residual layer: a low-rank path beside attention, around which the normed input itself is added.
struct Laurel {
  Linear left, right;  // [rank, H] and [H, rank]
  RmsNorm norm;

  Array operator()(const Array& x) const {
    Scope scope("laurel");
    return x + norm(right(left(x)));
  }
};

// Keys and values of a layer that has its own.
struct KeyValue {
  Linear key, value;
  RmsNorm key_norm;
};

struct SelfAttention {
  Linear query, output;
  RmsNorm query_norm;
  std::optional<KeyValue> own;  // none: reads what an earlier layer wrote in this step
  std::size_t cache;            // the caches written or read: k at 2 · cache, v behind it
  std::int64_t heads, kv_heads;
  RopeAttrs rope;
  AttentionAttrs attrs;

  Array operator()(const Array& x, const StepInputs& step, std::vector<Array>& caches) const {
    Scope scope("attention");
    Array &k_cache = caches[2 * cache], &v_cache = caches[2 * cache + 1];
    const Array q = lazuli::rope(query_norm(split_heads(query(x), heads)), step.positions, rope);
    if (own) write(*own, x, step, k_cache, v_cache);
    return output(merge_heads(attention(q, k_cache, v_cache, step.positions, step.length, attrs)));
  }

 private:
  void write(const KeyValue& kv, const Array& x, const StepInputs& step, Array& k_cache, Array& v_cache) const {
    const Array k = lazuli::rope(kv.key_norm(split_heads(kv.key(x), kv_heads)), step.positions, rope);
    const Array v = rms_norm(split_heads(kv.value(x), kv_heads), kv.key_norm.epsilon);
    const bool ring = attrs.window > 0;
    k_cache = write_cache_rows(k_cache, k, step.start, ring);
    v_cache = write_cache_rows(v_cache, v, step.start, ring);
  }
};

struct DecoderLayer {
  Altup altup;
  RmsNorm input_norm, post_attention_norm, pre_feedforward_norm, post_feedforward_norm;
  SelfAttention attention;
  Laurel laurel;
  SparseMlp mlp;
  std::optional<Array> correct_scale;  // [H]
  PerLayerUpdate per_layer_update;

  AltupPlanes operator()(const AltupPlanes& planes, const Array& per_layer_input, const StepInputs& step,
                         std::vector<Array>& caches) const {
    const AltupPlanes predicted = altup.predict(planes);
    const Array normed = input_norm(predicted.active);
    const Array attended = predicted.active + post_attention_norm(attention(normed, step, caches));
    const Array mixed = (attended + laurel(normed)) * (1 / std::numbers::sqrt2);
    const Array activated = mixed + post_feedforward_norm(mlp(pre_feedforward_norm(mixed)));
    const AltupPlanes corrected = altup.correct(predicted, activated);
    const Array scaled = correct_scale ? corrected.active * *correct_scale : corrected.active;
    return altup.add_behind_first(corrected, per_layer_update(scaled, per_layer_input));
  }
};

class Gemma3n final : public GemmaModel {
 public:
  Gemma3n(Gemma3nConfig config, CheckpointParts parts) : GemmaModel(gemma3n_model, parts), config_(std::move(config)) {
    const Gemma3nConfig& c = config_;
    Weights& weights = parts.weights;
    config_.vocab_size = embedding_rows(weights, "token_embd.weight", c.vocab_size);
    config_.vocab_size_per_layer = embedding_rows(weights, "per_layer_token_embd.weight", c.vocab_size_per_layer);
    load_embeddings(weights, parts.options.altup);
    for (std::int64_t layer = 0; layer < c.layers; ++layer) layers_.push_back(load_layer(weights, layer));
    final_norm_ = norm(weights, "output_norm", c.hidden_size);
    const auto untied = weights.take_optional("output.weight", {c.vocab_size, c.hidden_size});
    head_ = {Linear{untied ? *untied : embedding_}, config_.final_softcap};
    weights.report();

    info_.layers = c.layers;
    info_.hidden_size = c.hidden_size;
    info_.vocab_size = c.vocab_size;
    info_.context_length = c.context_length;
    info_.settings = c.settings();
    info_.has_altup = true;
    // One row of each table is read a token; the embedding is read whole as the head, unless there is one of its own.
    left_in_file_.push_back(per_layer_inputs_.table);
    if (untied) left_in_file_.push_back(embedding_);
    weights.describe(info_, left_in_file_);
    info_.bytes_per_token = info_.laid_out_bytes;
  }

  StepOutputs forward(const StepInputs& inputs) const override {
    StepOutputs outputs;
    outputs.caches = inputs.caches;
    const Array embedded = embed_tokens(embedding_, inputs.tokens);
    const Array per_layer = per_layer_inputs_(inputs.tokens, embedded);
    AltupPlanes planes = altup_embedding_.expand(embedded);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto layer = static_cast<std::int64_t>(i);
      Scope scope("layers", layer);
      planes = layers_[i](planes, index(per_layer, 1, layer), inputs, outputs.caches);
    }
    outputs.head_input = final_norm_(altup_embedding_.contract(planes));
    Scope scope("head");
    outputs.logits = head_(outputs.head_input);
    return outputs;
  }

 private:
  RmsNorm norm(Weights& weights, const std::string& module, std::int64_t width) const {
    return {weights.take_f32(module + ".weight", {width}), config_.norm_epsilon};
  }

  void load_embeddings(Weights& weights, AltupForm form) {
    const Gemma3nConfig& c = config_;
    const std::int64_t all_layers = c.layers * c.per_layer_size;
    embedding_ = weights.take("token_embd.weight", {c.vocab_size, c.hidden_size});
    per_layer_inputs_.table = weights.take("per_layer_token_embd.weight", {c.vocab_size_per_layer, all_layers});
    per_layer_inputs_.projection = {weights.take("per_layer_model_proj.weight", {all_layers, c.hidden_size})};
    per_layer_inputs_.projection_norm = norm(weights, "per_layer_proj_norm", c.per_layer_size);
    per_layer_inputs_.layers = c.layers;
    altup_embedding_.form = form;
    altup_embedding_.active = c.altup_active;
    const Shape square{c.hidden_size, c.hidden_size};
    for (const Array& matrix : weights.take_each("altup_proj", c.altup_planes - 1, square))
      altup_embedding_.expansions.push_back({matrix});
    for (const Array& matrix : weights.take_each("altup_unembd_proj", c.altup_planes - 1, square))
      altup_embedding_.contractions.push_back({matrix});
  }

  DecoderLayer load_layer(Weights& weights, std::int64_t index) {
    const Gemma3nConfig& c = config_;
    const std::int64_t hidden = c.hidden_size, intermediate = c.intermediate_size[static_cast<std::size_t>(index)];
    auto module = [&](const char* name) { return fmt::format("blk.{}.{}", index, name); };
    auto matrix = [&](const char* name, std::int64_t out, std::int64_t in) {
      return Linear{weights.take(module(name) + ".weight", {out, in})};
    };
    DecoderLayer layer;
    layer.altup = load_altup(weights, index);
    layer.input_norm = norm(weights, module("attn_norm"), hidden);
    layer.post_attention_norm = norm(weights, module("post_attention_norm"), hidden);
    layer.pre_feedforward_norm = norm(weights, module("ffn_norm"), hidden);
    layer.post_feedforward_norm = norm(weights, module("post_ffw_norm"), hidden);
    layer.attention = load_attention(weights, index);
    layer.laurel = {matrix("laurel_l", c.laurel_rank, hidden), matrix("laurel_r", hidden, c.laurel_rank),
                    norm(weights, module("laurel_post_norm"), hidden)};
    layer.mlp = {matrix("ffn_gate", intermediate, hidden), matrix("ffn_up", intermediate, hidden),
                 matrix("ffn_down", hidden, intermediate), c.sparsity_cutoff[static_cast<std::size_t>(index)]};
    const std::string scale = module("altup_correct_scale") + ".weight";
    if (c.altup_correct_scale)
      layer.correct_scale = weights.take_f32(scale, {hidden});
    else
      weights.ignore(scale);
    layer.per_layer_update = {matrix("inp_gate", c.per_layer_size, hidden), matrix("proj", hidden, c.per_layer_size),
                              norm(weights, module("post_norm"), hidden)};
    return layer;
  }

  Altup load_altup(Weights& weights, std::int64_t index) const {
    const std::int64_t planes = config_.altup_planes;
    auto module = [&](const char* name) { return fmt::format("blk.{}.{}", index, name); };
    auto coefficients = [&](const char* name, std::int64_t rows) {
      return clipped(weights.take_f32(module(name) + ".weight", {rows, planes}), config_.altup_coefficient_limit);
    };
    Altup altup;
    altup.active = config_.altup_active;
    altup.router_norm = norm(weights, module("altup_router_norm"), config_.hidden_size);
    altup.router = {weights.take(module("altup_router") + ".weight", {planes, config_.hidden_size})};
    altup.prediction = coefficients("altup_predict_coef", planes * planes);
    altup.correction = coefficients("altup_correct_coef", planes);
    return altup;
  }

  SelfAttention load_attention(Weights& weights, std::int64_t index) {
    const Gemma3nConfig& c = config_;
    const bool sliding = c.sliding[static_cast<std::size_t>(index)];
    auto module = [&](const char* name) { return fmt::format("blk.{}.{}", index, name); };
    auto matrix = [&](const char* name, std::int64_t out, std::int64_t in) {
      return Linear{weights.take(module(name) + ".weight", {out, in})};
    };
    SelfAttention attention;
    attention.query = matrix("attn_q", c.heads * c.head_dim, c.hidden_size);
    attention.output = matrix("attn_output", c.hidden_size, c.heads * c.head_dim);
    attention.query_norm = norm(weights, module("attn_q_norm"), c.head_dim);
    attention.cache = static_cast<std::size_t>(c.kv_layer(index));
    attention.heads = c.heads;
    attention.kv_heads = c.kv_heads;
    attention.rope.base = sliding ? c.rope_base_sliding : c.rope_base_global;
    attention.rope.scale = sliding ? 1.0 : 1.0 / c.rope_factor_global;
    attention.attrs = {1.0, sliding ? c.window : 0};
    if (index < c.owner_layers()) {
      const std::int64_t width = c.kv_heads * c.head_dim;
      attention.own = KeyValue{matrix("attn_k", width, c.hidden_size), matrix("attn_v", width, c.hidden_size),
                               norm(weights, module("attn_k_norm"), c.head_dim)};
      caches_.push_back({c.kv_heads, c.head_dim, attention.attrs.window});  // owners come first: cache i is layer i's
    } else {  // published files hold tensors here that no layer uses
      const std::int64_t width = c.kv_heads * c.head_dim;
      for (const char* name : {"attn_k", "attn_v"})
        leave_unread(weights, module(name) + ".weight", {width, c.hidden_size});
      leave_unread(weights, module("attn_k_norm") + ".weight", {c.head_dim});
    }
    return attention;
  }

  void leave_unread(Weights& weights, const std::string& name, const Shape& shape) {
    if (const auto tensor = weights.take_optional(name, shape)) left_in_file_.push_back(*tensor);
  }

  Gemma3nConfig config_;
  Array embedding_;
  PerLayerInputs per_layer_inputs_;
  AltupEmbedding altup_embedding_;
  std::vector<DecoderLayer> layers_;
  RmsNorm final_norm_;
  LanguageHead head_;
  std::vector<Array> left_in_file_;  // tables of which a token reads a row, and tensors no layer uses
};

}  // namespace

constinit const ModelDefinition gemma3n_model =
    define_gemma<Gemma3nConfig, Gemma3n>("gemma3n", {"gemma3n", "gemma3n_text"});

}  // namespace lazuli
