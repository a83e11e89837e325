#include <fmt/format.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/models/synth/tensors.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace lazuli::synth {
namespace {

constexpr std::int64_t altup_planes = 4;
enum class Container : std::uint8_t { gguf, hugging_face, mlx };

// Streams have GGUF's names in every container, each matrix of a stack its own.
class TensorList {
 public:
  TensorList(const Architecture& architecture, Container container) : a_(architecture), container_(container) {}

  std::vector<Tensor> build() {
    tables();
    for (layer_ = 0; layer_ < a_.layers; ++layer_) layer();
    layer_ = -1;
    vector("output_norm", "norm", a_.hidden_size);
    if (gguf() && a_.global_head_dim > 0) rotary_factors();
    return std::move(tensors_);
  }

 private:
  bool gguf() const { return container_ == Container::gguf; }

  // `leaf` ends both names.
  std::string stream_name(const std::string& name, const char* leaf) const {
    return (layer_ < 0 ? "" : fmt::format("blk.{}.", layer_)) + name + leaf;
  }
  std::string name(const std::string& gguf_name, const std::string& published, const char* leaf) const {
    if (gguf()) return stream_name(gguf_name, leaf);
    return prefix() + (layer_ < 0 ? "" : fmt::format("layers.{}.", layer_)) + published;
  }
  const char* prefix() const {
    if (!a_.multimodal) return "model.";
    const bool hugging_face_first = a_.family != Family::gemma3 && container_ == Container::hugging_face;
    return hugging_face_first || a_.family == Family::gemma3n ? "model.language_model." : "language_model.model.";
  }

  Tensor& add(std::string name, Shape shape, TensorKind kind) {
    return tensors_.emplace_back(Tensor{std::move(name), std::move(shape), kind, layer_, {}});
  }
  void add(const std::string& gguf_name, const std::string& published, Shape shape, TensorKind kind, Spread spread) {
    Tensor& tensor = add(name(gguf_name, published + ".weight", ".weight"), std::move(shape), kind);
    tensor.pieces = {{stream_name(gguf_name, ".weight"), 0, element_count(tensor.shape), spread}};
  }

  // Keeps the magnitude of what it multiplies.
  static Spread projecting(std::int64_t inputs) {
    return {.deviation = static_cast<float>(1 / std::sqrt(static_cast<double>(inputs)))};
  }
  void matrix(const char* gguf_name, const char* published, std::int64_t out, std::int64_t in,
              TensorKind kind = TensorKind::matrix) {
    add(gguf_name, published, {out, in}, kind, projecting(in));
  }
  // Factors around `centre`. Those of Gemma 3 are stored without their 1, to which GGUF's converter adds it.
  void vector(const char* gguf_name, const char* published, std::int64_t width, float centre = 1) {
    Spread spread{.centre = centre, .deviation = 0.1f * centre};
    if (a_.family == Family::gemma3) spread = {.deviation = 0.1f, .offset = gguf() ? 1.0f : 0.0f};
    add(gguf_name, published, {width}, TensorKind::vector, spread);
  }
  // A parameter that is not the weight of a module.
  void bare_vector(const char* gguf_name, const char* leaf, const char* published, std::int64_t width) {
    Tensor& tensor = add(name(gguf_name, published, leaf), {width}, TensorKind::vector);
    tensor.pieces = {{stream_name(gguf_name, leaf), 0, width, {.centre = 1, .deviation = 0.05f}}};
  }

  void tables() {
    layer_ = -1;
    table("token_embd", "embed_tokens", a_.vocab_size, a_.hidden_size, a_.hidden_size, TensorKind::embedding);
    if (a_.per_layer_width == 0) return;
    const std::int64_t width = a_.per_layer_width, all_layers = a_.layers * width;
    table("per_layer_token_embd", "embed_tokens_per_layer", a_.tokens, all_layers, width, TensorKind::per_layer_table);
    matrix("per_layer_model_proj", "per_layer_model_projection", all_layers, a_.hidden_size, TensorKind::plain_matrix);
    vector("per_layer_proj_norm", "per_layer_projection_norm", width);
    if (a_.family != Family::gemma3n) return;
    planes("altup_proj", "altup_projections");
    planes("altup_unembd_proj", "altup_unembed_projections");
  }

  // Rows are multiplied by the square root of `scaled_width` once they are looked up.
  void table(const char* gguf_name, const char* published, std::int64_t rows, std::int64_t columns,
             std::int64_t scaled_width, TensorKind kind) {
    const std::int64_t kept_rows = gguf() ? gguf_tokens(a_) : rows;
    Tensor& tensor = add(name(gguf_name, std::string(published) + ".weight", ".weight"), {kept_rows, columns}, kind);
    const std::int64_t random_rows = std::min(rows, kept_rows);
    const std::string stream = stream_name(gguf_name, ".weight");
    tensor.pieces = {{stream, 0, random_rows * columns, projecting(scaled_width)}};
    if (kept_rows > random_rows) tensor.pieces.push_back({stream, 0, (kept_rows - random_rows) * columns, {}});
  }

  // AltUp's square matrices, one for each plane but the first.
  void planes(const std::string& gguf_name, const std::string& published) {
    const std::int64_t width = a_.hidden_size;
    if (gguf()) {
      Tensor& stack = add(gguf_name + ".weight", {altup_planes - 1, width, width}, TensorKind::plain_matrix);
      for (std::int64_t i = 0; i + 1 < altup_planes; ++i)
        stack.pieces.push_back({fmt::format("{}.{}.weight", gguf_name, i), 0, width * width, projecting(width)});
    } else {
      for (std::int64_t i = 0; i + 1 < altup_planes; ++i)
        add(fmt::format("{}.{}", gguf_name, i), fmt::format("{}.{}", published, i), {width, width},
            TensorKind::plain_matrix, projecting(width));
    }
  }

  void layer() {
    const std::int64_t hidden = a_.hidden_size, inner = a_.intermediate_size_of(layer_);
    vector("attn_norm", "input_layernorm", hidden);
    attention();
    vector("post_attention_norm", "post_attention_layernorm", hidden);
    vector("ffn_norm", "pre_feedforward_layernorm", hidden);
    matrix("ffn_gate", "mlp.gate_proj", inner, hidden);
    matrix("ffn_up", "mlp.up_proj", inner, hidden);
    matrix("ffn_down", "mlp.down_proj", hidden, inner);
    vector("post_ffw_norm", "post_feedforward_layernorm", hidden);
    if (a_.experts > 0) experts();
    if (a_.per_layer_width > 0) {
      matrix("inp_gate", "per_layer_input_gate", a_.per_layer_width, hidden);
      matrix("proj", "per_layer_projection", hidden, a_.per_layer_width);
      vector("post_norm", "post_per_layer_input_norm", hidden);
    }
    if (a_.family == Family::gemma3n) altup_and_laurel();
    if (a_.family == Family::gemma4) bare_vector("layer_output_scale", ".weight", "layer_scalar", 1);
  }

  // Published files have keys and values in layers that share those of others, too.
  void attention() {
    const std::int64_t hidden = a_.hidden_size, width = a_.head_dim_of(layer_), kv_heads = a_.kv_heads_of(layer_);
    // Gemma 3 divides scores by the root of the head size; the others leave that to these norms.
    const float centre =
        a_.family == Family::gemma3 ? 1.0f : static_cast<float>(std::pow(static_cast<double>(width), -0.25));
    matrix("attn_q", "self_attn.q_proj", a_.heads * width, hidden);
    matrix("attn_k", "self_attn.k_proj", kv_heads * width, hidden);
    if (!a_.keys_are_values(layer_)) matrix("attn_v", "self_attn.v_proj", kv_heads * width, hidden);
    matrix("attn_output", "self_attn.o_proj", hidden, a_.heads * width);
    vector("attn_q_norm", "self_attn.q_norm", width, centre);
    vector("attn_k_norm", "self_attn.k_norm", width, centre);
  }

  // The coefficients are small, so that planes neither die out nor explode over the layers.
  void altup_and_laurel() {
    const std::int64_t hidden = a_.hidden_size, rank = a_.laurel_rank;
    bare_vector("altup_correct_scale", ".weight", "altup.correct_output_scale", hidden);
    add("altup_correct_coef", "altup.correction_coefs", {altup_planes, altup_planes}, TensorKind::coefficients,
        {.deviation = 0.1f});
    add("altup_predict_coef", "altup.prediction_coefs", {altup_planes * altup_planes, altup_planes},
        TensorKind::coefficients, {.deviation = 0.05f});
    // Its input is a normed vector divided by its width.
    add("altup_router", "altup.modality_router", {altup_planes, hidden}, TensorKind::plain_matrix,
        {.deviation = static_cast<float>(std::sqrt(static_cast<double>(hidden)))});
    vector("altup_router_norm", "altup.router_norm", hidden);
    matrix("laurel_l", "laurel.linear_left", rank, hidden, TensorKind::plain_matrix);
    matrix("laurel_r", "laurel.linear_right", hidden, rank, TensorKind::plain_matrix);
    vector("laurel_post_norm", "laurel.post_laurel_norm", hidden);
  }

  void experts() {
    const std::int64_t hidden = a_.hidden_size, inner = a_.expert_size, count = a_.experts;
    // Its input is a normed vector divided by the root of its width.
    add("ffn_gate_inp", "router.proj", {count, hidden}, TensorKind::router, {.deviation = 1});
    bare_vector("ffn_gate_inp", ".scale", "router.scale", hidden);
    bare_vector("ffn_down_exps", ".scale", "router.per_expert_scale", count);
    if (container_ == Container::mlx) {
      add("ffn_gate_exps", "experts.switch_glu.gate_proj", {count, inner, hidden}, TensorKind::matrix,
          projecting(hidden));
      add("ffn_up_exps", "experts.switch_glu.up_proj", {count, inner, hidden}, TensorKind::matrix, projecting(hidden));
    } else {
      Tensor& stack = add(name("ffn_gate_up_exps", "experts.gate_up_proj", ".weight"), {count, 2 * inner, hidden},
                          TensorKind::matrix);
      for (std::int64_t expert = 0; expert < count; ++expert)
        for (const char* half : {"ffn_gate_exps", "ffn_up_exps"})
          stack.pieces.push_back(
              {stream_name(half, ".weight"), expert * inner * hidden, inner * hidden, projecting(hidden)});
    }
    Tensor& down =
        add(name("ffn_down_exps",
                 container_ == Container::mlx ? "experts.switch_glu.down_proj.weight" : "experts.down_proj", ".weight"),
            {count, hidden, inner}, TensorKind::matrix);
    down.pieces = {{stream_name("ffn_down_exps", ".weight"), 0, element_count(down.shape), projecting(inner)}};
    vector("post_ffw_norm_1", "post_feedforward_layernorm_1", hidden);
    vector("post_ffw_norm_2", "post_feedforward_layernorm_2", hidden);
    vector("pre_ffw_norm_2", "pre_feedforward_layernorm_2", hidden);
  }

  // Numbers that divide the frequencies of global layers: a quarter of the pairs rotates, the rest stands still.
  void rotary_factors() {
    const std::int64_t pairs = a_.global_head_dim / 2, rotating = pairs / 4;
    Tensor& tensor = add("rope_freqs.weight", {pairs}, TensorKind::vector);
    tensor.pieces = {{"rope_freqs.weight", 0, rotating, {.offset = 1}},
                     {"rope_freqs.weight", 0, pairs - rotating, {.offset = 1e30f}}};
  }

  const Architecture& a_;
  Container container_;
  std::int64_t layer_ = -1;
  std::vector<Tensor> tensors_;
};

}  // namespace

std::vector<Tensor> gguf_tensors(const Architecture& architecture) {
  return TensorList(architecture, Container::gguf).build();
}

// Converters drop Gemma 3's rows without a token, and add tokens for Gemma 3n's.
std::int64_t gguf_tokens(const Architecture& architecture) {
  return architecture.family == Family::gemma3 ? architecture.tokens : architecture.vocab_size;
}

std::vector<Tensor> folder_tensors(const Architecture& architecture, bool mlx) {
  return TensorList(architecture, mlx ? Container::mlx : Container::hugging_face).build();
}

}  // namespace lazuli::synth
