// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/models/checkpoint/tensor_names.h>

#include <algorithm>
#include <array>

namespace lazuli {
namespace {

struct Entry {
  std::string_view published, canonical;
};

// Modules: what follows the module's name ("weight", "scales", ...) is the leaf.
constexpr Entry model_modules[] = {
    {"embed_tokens", "token_embd"},
    {"norm", "output_norm"},
    {"embed_tokens_per_layer", "per_layer_token_embd"},
    {"per_layer_model_projection", "per_layer_model_proj"},
    {"per_layer_projection_norm", "per_layer_proj_norm"},
    {"altup_projections.0", "altup_proj.0"},
    {"altup_projections.1", "altup_proj.1"},
    {"altup_projections.2", "altup_proj.2"},
    {"altup_unembed_projections.0", "altup_unembd_proj.0"},
    {"altup_unembed_projections.1", "altup_unembd_proj.1"},
    {"altup_unembed_projections.2", "altup_unembd_proj.2"},
};

constexpr Entry layer_modules[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    // Gemma 3n and Gemma 4 E: per-layer embeddings.
    {"per_layer_input_gate", "inp_gate"},
    {"per_layer_projection", "proj"},
    {"post_per_layer_input_norm", "post_norm"},
    // Gemma 3n: AltUp and LAuReL.
    {"altup.correction_coefs", "altup_correct_coef"},
    {"altup.prediction_coefs", "altup_predict_coef"},
    {"altup.modality_router", "altup_router"},
    {"altup.router_norm", "altup_router_norm"},
    {"laurel.linear_left", "laurel_l"},
    {"laurel.linear_right", "laurel_r"},
    {"laurel.post_laurel_norm", "laurel_post_norm"},
    // Gemma 4 with experts.
    {"router.proj", "ffn_gate_inp"},
    {"experts.switch_glu.gate_proj", "ffn_gate_exps"},
    {"experts.switch_glu.up_proj", "ffn_up_exps"},
    {"experts.switch_glu.down_proj", "ffn_down_exps"},
    {"post_feedforward_layernorm_1", "post_ffw_norm_1"},
    {"post_feedforward_layernorm_2", "post_ffw_norm_2"},
    {"pre_feedforward_layernorm_2", "pre_ffw_norm_2"},
};

// Parameters that are not ".weight" of a module.
struct BareEntry {
  std::string_view published, module, leaf;
};
constexpr BareEntry layer_parameters[] = {
    {"altup.correct_output_scale", "altup_correct_scale", "weight"},
    {"layer_scalar", "layer_output_scale", "weight"},
    {"router.scale", "ffn_gate_inp", "scale"},
    {"router.per_expert_scale", "ffn_down_exps", "scale"},
    {"experts.gate_up_proj", "ffn_gate_up_exps", "weight"},
    {"experts.down_proj", "ffn_down_exps", "weight"},
};

constexpr std::string_view other_modalities[] = {
    "vision_tower",   "vision_model", "vision_embedder", "embed_vision",          "audio_tower",
    "audio_embedder", "embed_audio",  "audio_model",     "multi_modal_projector",
};

template <std::size_t count>
std::optional<TensorName> find_module(const Entry (&entries)[count], std::string_view name, const std::string& scope) {
  const std::size_t dot = name.rfind('.');
  if (dot == name.npos) return std::nullopt;
  for (const Entry& entry : entries)
    if (entry.published == name.substr(0, dot))
      return TensorName{scope + std::string(entry.canonical), std::string(name.substr(dot + 1))};
  return std::nullopt;
}

std::optional<TensorName> layer_tensor(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == 0 || dot == name.npos || name.substr(0, dot).find_first_not_of("0123456789") != name.npos)
    return std::nullopt;
  const std::string scope = "blk." + std::string(name.substr(0, dot + 1));
  name.remove_prefix(dot + 1);
  for (const BareEntry& entry : layer_parameters)
    if (entry.published == name) return TensorName{scope + std::string(entry.module), std::string(entry.leaf)};
  return find_module(layer_modules, name, scope);
}

}  // namespace

std::optional<std::string> text_prefix(const std::vector<std::string>& names) {
  constexpr std::array<std::string_view, 6> prefixes = {
      "", "language_model.", "model.language_model.", "model.", "language_model.model.", "model.language_model.model."};
  // Layers serve where the embedding is missing.
  for (const std::string_view start_of_part : {"embed_tokens.", "layers.0."})
    for (const std::string_view prefix : prefixes) {
      const std::string start = std::string(prefix) + std::string(start_of_part);
      if (std::ranges::any_of(names, [&](const std::string& name) { return name.starts_with(start); }))
        return std::string(prefix);
    }
  return std::nullopt;
}

bool is_other_modality(std::string_view name) {
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    if (std::ranges::find(other_modalities, name.substr(begin, end - begin)) != std::end(other_modalities)) return true;
    begin = end + 1;
  }
  return false;
}

std::optional<TensorName> canonical_name(std::string_view name, std::string_view prefix) {
  for (const std::string_view head : {"lm_head.", "language_model.lm_head.", "model.lm_head."})
    if (name.starts_with(head)) return TensorName{"output", std::string(name.substr(head.size()))};
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  constexpr std::string_view layers = "layers.";
  if (name.starts_with(layers)) return layer_tensor(name.substr(layers.size()));
  return find_module(model_modules, name, {});
}

std::string published_name(std::string_view canonical, std::string_view prefix) {
  const std::size_t dot = canonical.rfind('.');
  std::string_view module = canonical.substr(0, dot);
  const std::string_view leaf = canonical.substr(dot + 1);
  if (module == "output") return fmt::format("lm_head.{}", leaf);
  constexpr std::string_view layer_scope = "blk.";
  if (!module.starts_with(layer_scope)) {
    const auto found = std::ranges::find(model_modules, module, &Entry::canonical);
    if (found == std::end(model_modules)) return std::string(canonical);
    return fmt::format("{}{}.{}", prefix, found->published, leaf);
  }
  module.remove_prefix(layer_scope.size());
  const std::string_view number = module.substr(0, module.find('.'));
  module.remove_prefix(number.size() + 1);
  for (const BareEntry& entry : layer_parameters)
    if (entry.module == module && entry.leaf == leaf)
      return fmt::format("{}layers.{}.{}", prefix, number, entry.published);
  const auto found = std::ranges::find(layer_modules, module, &Entry::canonical);
  if (found == std::end(layer_modules)) return std::string(canonical);
  return fmt::format("{}layers.{}.{}.{}", prefix, number, found->published, leaf);
}

}  // namespace lazuli
