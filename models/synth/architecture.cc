// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/models/synth/architecture.h>
#include <lazuli/models/synth/family.h>

#include <vector>

namespace lazuli::synth {
namespace {

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
  static const std::vector<Architecture> all = [] {
    std::vector<Architecture> architectures;
    for (const FamilyFiles* files : all_files())
      architectures.insert(architectures.end(), files->published.begin(), files->published.end());
    return architectures;
  }();
  return all;
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
