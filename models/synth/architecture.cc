#include <lazuli/graph/base/fail.h>
#include <lazuli/models/synth/architecture.h>

#include <cmath>

namespace lazuli::synth {
namespace {

// Values of the published config.json files.
const Architecture* table(std::size_t& count) {
  static const Architecture published[] = {
      {.name = "gemma3-270m",
       .family = Family::gemma3,
       .multimodal = false,
       .hidden_size = 640,
       .layers = 18,
       .intermediate_size = 2048,
       .heads = 4,
       .kv_heads = 1,
       .head_dim = 256,
       .period = 6,
       .window = 512,
       .context_length = 32768,
       .vocab_size = 262144},
      {.name = "gemma3-1b",
       .family = Family::gemma3,
       .multimodal = false,
       .hidden_size = 1152,
       .layers = 26,
       .intermediate_size = 6912,
       .heads = 4,
       .kv_heads = 1,
       .head_dim = 256,
       .period = 6,
       .window = 512,
       .context_length = 32768,
       .vocab_size = 262144},
      {.name = "gemma3-4b",
       .family = Family::gemma3,
       .multimodal = true,
       .hidden_size = 2560,
       .layers = 34,
       .intermediate_size = 10240,
       .heads = 8,
       .kv_heads = 4,
       .head_dim = 256,
       .period = 6,
       .window = 1024,
       .context_length = 131072,
       .vocab_size = 262208,
       .rope_factor = 8},
      {.name = "gemma3n-e2b",
       .family = Family::gemma3n,
       .multimodal = true,
       .hidden_size = 2048,
       .layers = 30,
       .intermediate_size = 8192,
       .heads = 8,
       .kv_heads = 2,
       .head_dim = 256,
       .period = 5,
       .window = 512,
       .context_length = 32768,
       .vocab_size = 262400,
       .shared_kv_layers = 10,
       .per_layer_width = 256,
       .sparse_layers = 10,
       .laurel_rank = 64},
      {.name = "gemma3n-e4b",
       .family = Family::gemma3n,
       .multimodal = true,
       .hidden_size = 2048,
       .layers = 35,
       .intermediate_size = 16384,
       .heads = 8,
       .kv_heads = 2,
       .head_dim = 256,
       .period = 5,
       .window = 512,
       .context_length = 32768,
       .vocab_size = 262400,
       .shared_kv_layers = 15,
       .per_layer_width = 256,
       .sparse_layers = 10,
       .laurel_rank = 64},
      {.name = "gemma4-e2b",
       .family = Family::gemma4,
       .multimodal = true,
       .hidden_size = 1536,
       .layers = 35,
       .intermediate_size = 6144,
       .heads = 8,
       .kv_heads = 1,
       .head_dim = 256,
       .period = 5,
       .window = 512,
       .context_length = 131072,
       .vocab_size = 262144,
       .shared_kv_layers = 20,
       .per_layer_width = 256,
       .global_head_dim = 512,
       .double_wide_mlp = true},
      {.name = "gemma4-e4b",
       .family = Family::gemma4,
       .multimodal = true,
       .hidden_size = 2560,
       .layers = 42,
       .intermediate_size = 10240,
       .heads = 8,
       .kv_heads = 2,
       .head_dim = 256,
       .period = 6,
       .window = 512,
       .context_length = 131072,
       .vocab_size = 262144,
       .shared_kv_layers = 18,
       .per_layer_width = 256,
       .global_head_dim = 512},
      {.name = "gemma4-12b",
       .family = Family::gemma4,
       .multimodal = true,
       .hidden_size = 3840,
       .layers = 48,
       .intermediate_size = 15360,
       .heads = 16,
       .kv_heads = 8,
       .head_dim = 256,
       .period = 6,
       .window = 1024,
       .context_length = 131072,
       .vocab_size = 262144,
       .global_kv_heads = 1,
       .global_head_dim = 512},
      {.name = "gemma4-26b-a4b",
       .family = Family::gemma4,
       .multimodal = true,
       .hidden_size = 2816,
       .layers = 30,
       .intermediate_size = 2112,
       .heads = 16,
       .kv_heads = 8,
       .head_dim = 256,
       .period = 6,
       .window = 1024,
       .context_length = 262144,
       .vocab_size = 262144,
       .global_kv_heads = 2,
       .global_head_dim = 512,
       .experts = 128,
       .experts_per_token = 8,
       .expert_size = 704},
      {.name = "gemma4-31b",
       .family = Family::gemma4,
       .multimodal = true,
       .hidden_size = 5376,
       .layers = 60,
       .intermediate_size = 21504,
       .heads = 32,
       .kv_heads = 16,
       .head_dim = 256,
       .period = 6,
       .window = 1024,
       .context_length = 262144,
       .vocab_size = 262144,
       .global_kv_heads = 4,
       .global_head_dim = 512},
  };
  count = std::size(published);
  return published;
}

bool every_sharer_has_an_owner(const Architecture& a) {
  for (std::int64_t layer = a.owner_layers(); layer < a.layers; ++layer) {
    std::int64_t owner = a.owner_layers() - 1;
    while (owner >= 0 && a.is_sliding(owner) != a.is_sliding(layer)) --owner;
    if (owner < 0) return false;
  }
  return true;
}

}  // namespace

std::span<const Architecture> published_architectures() {
  std::size_t count = 0;
  const Architecture* first = table(count);
  return {first, count};
}

const Architecture& find_architecture(std::string_view name) {
  std::string names;
  for (const Architecture& architecture : published_architectures()) {
    if (architecture.name == name) return architecture;
    names += (names.empty() ? "" : ", ") + architecture.name;
  }
  fail("architecture {} is not known; expected one of {}", name, names);
}

Architecture shortened(Architecture architecture, std::int64_t layers) {
  Architecture& a = architecture;
  if (layers < 1 || layers > a.layers) fail("{} layers; expected 1 to the {} of {}", layers, a.layers, a.name);
  const auto in_proportion = [&](std::int64_t count) { return (2 * count * layers + a.layers) / (2 * a.layers); };
  a.shared_kv_layers = in_proportion(a.shared_kv_layers);
  a.sparse_layers = in_proportion(a.sparse_layers);
  a.layers = layers;
  while (!every_sharer_has_an_owner(a)) --a.shared_kv_layers;
  return architecture;
}

}  // namespace lazuli::synth
