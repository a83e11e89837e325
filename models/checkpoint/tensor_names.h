// SPDX-License-Identifier: MIT
// From the tensor names of Hugging Face and MLX checkpoints to the names used inside lazuli, which are those of GGUF.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// "model.layers.3.self_attn.q_proj.weight" is {"blk.3.attn_q", "weight"}.
struct TensorName {
  std::string module;  // canonical
  std::string leaf;    // "weight", "scale", and in quantised modules "scales", "biases", "weight_scale", ...

  std::string canonical() const { return module + '.' + leaf; }
};

// What stands before "embed_tokens", "layers.N" and "norm" in this checkpoint: "model.", "language_model.model.",
// "model.language_model.", ... Nothing when no tensor is an embedding or part of a layer.
std::optional<std::string> text_prefix(const std::vector<std::string>& names);

// Whether a tensor belongs to the vision or audio parts, which a text model does not have.
bool is_other_modality(std::string_view name);

// The canonical name of a tensor of any of the Gemma 3, 3n and 4 text models. Nothing for names outside them.
std::optional<TensorName> canonical_name(std::string_view name, std::string_view prefix);

// The way back, for errors: how Hugging Face spells a canonical name, "blk.3.attn_q.weight". Unknown ones as they are.
std::string published_name(std::string_view canonical, std::string_view prefix);

}  // namespace lazuli
