// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/checkpoint/tensor_names.h>
#include <lazuli/models/checkpoint/weights.h>
#include <lazuli/models/synth/family.h>
#include <lazuli/models/synth/tensors.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace lazuli::synth {
namespace {

enum class Container : std::uint8_t { gguf, hugging_face, mlx };

// What the values of a tensor are.
enum class Values : std::uint8_t {
  norm,          // factors around 1
  score_norm,    // the same of queries and keys
  scale,         // a parameter that is not the weight of a module: factors around 1
  matrix,        // keeps the magnitude of what it multiplies
  table,         // rows are multiplied by the square root of a width once they are looked up: its own
  layers_table,  // that of one layer's part
  each,          // matrices that GGUF stacks: NAME.0.weight and so on
  gate_and_up,   // of each expert in turn
  correction,
  prediction,
  altup_router,
  expert_router,
};

struct Description {
  const char* name;  // in GGUF files, within its layer
  TensorKind kind;
  Values values;
  const char* mlx_name = nullptr;  // where it is another than in Hugging Face's files
};

// In the order of files. A model has those that it asks for.
constexpr Description first_tensors[] = {
    {"token_embd.weight", TensorKind::embedding, Values::table},
    {"per_layer_token_embd.weight", TensorKind::per_layer_table, Values::layers_table},
    {"per_layer_model_proj.weight", TensorKind::plain_matrix, Values::matrix},
    {"per_layer_proj_norm.weight", TensorKind::vector, Values::norm},
    {"altup_proj", TensorKind::plain_matrix, Values::each},
    {"altup_unembd_proj", TensorKind::plain_matrix, Values::each},
};
constexpr Description layer_tensors[] = {
    {"attn_norm.weight", TensorKind::vector, Values::norm},
    {"attn_q.weight", TensorKind::matrix, Values::matrix},
    {"attn_k.weight", TensorKind::matrix, Values::matrix},
    {"attn_v.weight", TensorKind::matrix, Values::matrix},
    {"attn_output.weight", TensorKind::matrix, Values::matrix},
    {"attn_q_norm.weight", TensorKind::vector, Values::score_norm},
    {"attn_k_norm.weight", TensorKind::vector, Values::score_norm},
    {"post_attention_norm.weight", TensorKind::vector, Values::norm},
    {"ffn_norm.weight", TensorKind::vector, Values::norm},
    {"ffn_gate.weight", TensorKind::matrix, Values::matrix},
    {"ffn_up.weight", TensorKind::matrix, Values::matrix},
    {"ffn_down.weight", TensorKind::matrix, Values::matrix},
    {"post_ffw_norm.weight", TensorKind::vector, Values::norm},
    {"ffn_gate_inp.weight", TensorKind::router, Values::expert_router},
    {"ffn_gate_inp.scale", TensorKind::vector, Values::scale},
    {"ffn_down_exps.scale", TensorKind::vector, Values::scale},
    {"ffn_gate_exps.weight", TensorKind::matrix, Values::matrix},
    {"ffn_up_exps.weight", TensorKind::matrix, Values::matrix},
    {"ffn_gate_up_exps.weight", TensorKind::matrix, Values::gate_and_up},
    {"ffn_down_exps.weight", TensorKind::matrix, Values::matrix, "experts.switch_glu.down_proj.weight"},
    {"post_ffw_norm_1.weight", TensorKind::vector, Values::norm},
    {"post_ffw_norm_2.weight", TensorKind::vector, Values::norm},
    {"pre_ffw_norm_2.weight", TensorKind::vector, Values::norm},
    {"inp_gate.weight", TensorKind::matrix, Values::matrix},
    {"proj.weight", TensorKind::matrix, Values::matrix},
    {"post_norm.weight", TensorKind::vector, Values::norm},
    {"altup_correct_scale.weight", TensorKind::vector, Values::scale},
    {"altup_correct_coef.weight", TensorKind::coefficients, Values::correction},
    {"altup_predict_coef.weight", TensorKind::coefficients, Values::prediction},
    {"altup_router.weight", TensorKind::plain_matrix, Values::altup_router},
    {"altup_router_norm.weight", TensorKind::vector, Values::norm},
    {"laurel_l.weight", TensorKind::plain_matrix, Values::matrix},
    {"laurel_r.weight", TensorKind::plain_matrix, Values::matrix},
    {"laurel_post_norm.weight", TensorKind::vector, Values::norm},
    {"layer_output_scale.weight", TensorKind::vector, Values::scale},
};
constexpr Description last_tensors[] = {{"output_norm.weight", TensorKind::vector, Values::norm}};

// What the model asks for. Token tables are heads as well, and MLX keeps the gates and ups of experts apart.
std::map<std::string, Shape> requests_of(const Architecture& a, Container container) {
  std::vector<std::string> absent{"output.weight"};
  if (container == Container::mlx) absent.emplace_back("ffn_gate_up_exps.weight");
  std::vector<TensorRequest> requests;
  const nlohmann::json config = text_config(a);
  files_of(a.family).model.from_json(config, {Weights::recorder(requests, std::move(absent)), a.name, nullptr, {}});
  std::map<std::string, Shape> shapes;
  for (TensorRequest& request : requests) shapes.emplace(std::move(request.name), std::move(request.shape));
  return shapes;
}

// Keeps the magnitude of what it multiplies.
Spread projecting(std::int64_t inputs) {
  return {.deviation = static_cast<float>(1 / std::sqrt(static_cast<double>(inputs)))};
}

// Streams have GGUF's names in every container, each matrix of a stack its own.
class TensorList {
 public:
  TensorList(const Architecture& architecture, Container container)
      : a_(architecture),
        files_(files_of(architecture.family)),
        container_(container),
        requests_(requests_of(architecture, container)) {}

  std::vector<Tensor> build() {
    for (const Description& description : first_tensors) add(description);
    for (layer_ = 0; layer_ < a_.layers; ++layer_)
      for (const Description& description : layer_tensors) add(description);
    layer_ = -1;
    for (const Description& description : last_tensors) add(description);
    if (gguf() && a_.global_head_dim > 0) rotary_factors();
    if (!requests_.empty())
      fail("{}: the model asks for {}, which no description of tensors has", a_.name, requests_.begin()->first);
    return std::move(tensors_);
  }

 private:
  bool gguf() const { return container_ == Container::gguf; }
  std::string in_layer(const std::string& name) const {
    return layer_ < 0 ? name : fmt::format("blk.{}.{}", layer_, name);
  }
  std::string prefix() const {
    if (!a_.multimodal) return "model.";
    return container_ == Container::mlx ? files_.mlx_prefix : files_.hugging_face_prefix;
  }
  std::string name_in_file(const std::string& name, const char* mlx_name) const {
    if (gguf()) return name;
    if (container_ == Container::mlx && mlx_name != nullptr)
      return fmt::format("{}layers.{}.{}", prefix(), layer_, mlx_name);
    return published_name(name, prefix());
  }

  std::optional<Shape> take_request(const std::string& name) {
    const auto found = requests_.find(name);
    if (found == requests_.end()) return std::nullopt;
    Shape shape = std::move(found->second);
    requests_.erase(found);
    return shape;
  }

  void add(const Description& d) {
    if (d.values == Values::each) return add_each(d);
    const std::string name = in_layer(d.name);
    const std::optional<Shape> shape = take_request(name);
    if (!shape) return;
    Tensor tensor{name_in_file(name, d.mlx_name), *shape, d.kind, layer_, {}};
    if (d.values == Values::table || d.values == Values::layers_table) {
      fill_table(tensor, name, d.values == Values::table ? a_.hidden_size : a_.per_layer_width);
    } else if (d.values == Values::gate_and_up) {
      fill_gate_and_up(tensor);
    } else {
      tensor.pieces = {{name, 0, element_count(*shape), spread(d.values, *shape)}};
    }
    tensors_.push_back(std::move(tensor));
  }

  Spread spread(Values values, const Shape& shape) const {
    const std::int64_t inputs = shape.back();
    switch (values) {
      case Values::norm:
        return norm_spread(1);
      case Values::score_norm:
        return norm_spread(files_.norms_scale_scores ? static_cast<float>(std::pow(static_cast<double>(inputs), -0.25))
                                                     : 1.0f);
      case Values::scale:
        return {.centre = 1, .deviation = 0.05f};
      // The coefficients are small, so that planes neither die out nor explode over the layers.
      case Values::correction:
        return {.deviation = 0.1f};
      case Values::prediction:
        return {.deviation = 0.05f};
      // Its input is a normed vector divided by its width.
      case Values::altup_router:
        return {.deviation = static_cast<float>(std::sqrt(static_cast<double>(inputs)))};
      // Its input is a normed vector divided by the root of its width.
      case Values::expert_router:
        return {.deviation = 1};
      default:
        return projecting(inputs);
    }
  }

  Spread norm_spread(float centre) const {
    if (files_.norms_plus_one) return {.deviation = 0.1f, .offset = gguf() ? 1.0f : 0.0f};
    return {.centre = centre, .deviation = 0.1f * centre};
  }

  void fill_table(Tensor& tensor, const std::string& stream, std::int64_t scaled_width) const {
    const std::int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    const std::int64_t kept_rows = gguf() ? gguf_tokens(a_) : rows, random_rows = std::min(rows, kept_rows);
    tensor.shape[0] = kept_rows;
    tensor.pieces = {{stream, 0, random_rows * columns, projecting(scaled_width)}};
    if (kept_rows > random_rows) tensor.pieces.push_back({stream, 0, (kept_rows - random_rows) * columns, {}});
  }

  void add_each(const Description& d) {
    std::vector<Tensor> matrices;
    for (std::int64_t i = 0;; ++i) {
      const std::string name = fmt::format("{}.{}.weight", d.name, i);
      const std::optional<Shape> shape = take_request(name);
      if (!shape) break;
      const Piece piece{name, 0, element_count(*shape), projecting(shape->back())};
      matrices.push_back({name_in_file(name, nullptr), *shape, d.kind, layer_, {piece}});
    }
    if (matrices.empty()) return;
    if (!gguf()) {
      std::move(matrices.begin(), matrices.end(), std::back_inserter(tensors_));
      return;
    }
    Tensor stack{fmt::format("{}.weight", d.name), matrices[0].shape, d.kind, layer_, {}};
    stack.shape.insert(stack.shape.begin(), static_cast<std::int64_t>(matrices.size()));
    for (Tensor& matrix : matrices) stack.pieces.push_back(std::move(matrix.pieces[0]));
    tensors_.push_back(std::move(stack));
  }

  void fill_gate_and_up(Tensor& tensor) const {
    const std::int64_t experts = tensor.shape[0], inner = tensor.shape[1] / 2, hidden = tensor.shape[2];
    for (std::int64_t expert = 0; expert < experts; ++expert)
      for (const char* half : {"ffn_gate_exps.weight", "ffn_up_exps.weight"})
        tensor.pieces.push_back({in_layer(half), expert * inner * hidden, inner * hidden, projecting(hidden)});
  }

  // Numbers that divide the frequencies of global layers: a quarter of the pairs rotates, the rest stands still.
  void rotary_factors() {
    const std::int64_t pairs = a_.global_head_dim / 2, rotating = pairs / 4;
    const char* name = "rope_freqs.weight";
    tensors_.push_back({name,
                        {pairs},
                        TensorKind::vector,
                        layer_,
                        {{name, 0, rotating, {.offset = 1}}, {name, 0, pairs - rotating, {.offset = 1e30f}}}});
  }

  const Architecture& a_;
  const FamilyFiles& files_;
  Container container_;
  std::map<std::string, Shape> requests_;  // not yet met
  std::int64_t layer_ = -1;
  std::vector<Tensor> tensors_;
};

}  // namespace

std::vector<Tensor> gguf_tensors(const Architecture& architecture) {
  return TensorList(architecture, Container::gguf).build();
}

std::int64_t gguf_tokens(const Architecture& architecture) {
  return files_of(architecture.family).keeps_tokens_alone ? architecture.tokens : architecture.vocab_size;
}

std::vector<Tensor> folder_tensors(const Architecture& architecture, bool mlx) {
  return TensorList(architecture, mlx ? Container::mlx : Container::hugging_face).build();
}

}  // namespace lazuli::synth
