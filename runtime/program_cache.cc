// SPDX-License-Identifier: MIT
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/numbers.h>
#include <lazuli/runtime/program_cache.h>

#include <algorithm>
#include <utility>

namespace lazuli {

namespace {

// Of graphs, steps and kernels of a program, for each node of what was built: measured.
constexpr std::int64_t node_bytes = 5000;

std::int64_t count_nodes(const Graph& graph) {
  auto count = static_cast<std::int64_t>(graph.nodes.size());
  for (const GraphNode& node : graph.nodes)
    for_each_body(node.attrs, [&](const char*, const BodyRef& body) {
      if (body) count += count_nodes(*body);
    });
  return count;
}

}  // namespace

std::shared_ptr<CompiledGraph> ProgramCache::find(const std::string& key, std::span<const double> values) {
  const auto found = variants_.find(key);
  if (found == variants_.end()) return nullptr;
  for (Variant& variant : found->second) {
    if (!variant.guards.hold(values)) continue;
    touch(*variant.compiled);
    return variant.compiled;
  }
  return nullptr;
}

std::size_t ProgramCache::variants(const std::string& key) const {
  const auto found = variants_.find(key);
  return found == variants_.end() ? 0 : found->second.size();
}

std::vector<std::shared_ptr<CompiledGraph>> ProgramCache::list() const {
  std::vector<std::shared_ptr<CompiledGraph>> programs;
  for (const auto& [key, variants] : variants_)
    for (const Variant& variant : variants) programs.push_back(variant.compiled);
  std::sort(programs.begin(), programs.end(), [](const auto& a, const auto& b) { return a->last_used > b->last_used; });
  return programs;
}

std::int64_t ProgramCache::bytes_of(const CompiledGraph& compiled) { return count_nodes(compiled.built) * node_bytes; }

std::int64_t ProgramCache::bytes() const {
  std::int64_t total = 0;
  std::unordered_map<std::shared_ptr<const Buffer>, long> references;
  for (const auto& [key, variants] : variants_)
    for (const Variant& variant : variants) {
      total += bytes_of(*variant.compiled);
      for (const CompiledGraph::Held& held : variant.compiled->constants)
        if (auto buffer = held.buffer.lock()) references[std::move(buffer)] += held.references;
    }
  // One reference more is the map's.
  for (const auto& [buffer, held] : references)
    if (buffer.use_count() <= held + 1) total += static_cast<std::int64_t>(buffer->size());
  return total;
}

std::vector<std::shared_ptr<CompiledGraph>> ProgramCache::evict(std::int64_t max_bytes) {
  std::vector<std::shared_ptr<CompiledGraph>> evicted;
  const bool all = max_bytes < 0;
  while (size_ > (all ? 0 : 1) && (all || bytes() > max_bytes)) {
    auto oldest = variants_.begin();
    std::size_t index = 0;
    for (auto entry = variants_.begin(); entry != variants_.end(); ++entry)
      for (std::size_t i = 0; i < entry->second.size(); ++i)
        if (entry->second[i].compiled->last_used < oldest->second[index].compiled->last_used) {
          oldest = entry;
          index = i;
        }
    evicted.push_back(std::move(oldest->second[index].compiled));
    oldest->second.erase(oldest->second.begin() + static_cast<std::ptrdiff_t>(index));
    if (oldest->second.empty()) variants_.erase(oldest);
    --size_;
  }
  return evicted;
}

NumberGuards ProgramCache::next_guards(const std::string& key, std::span<const double> values) const {
  std::vector<bool> known(values.size(), true);
  const auto found = variants_.find(key);
  const std::size_t made = found == variants_.end() ? 0 : found->second.size();
  if (made < max_variants_for_values) return NumberGuards(std::move(known));
  if (made >= max_variants_in_common - 1) return {};
  for (const Variant& variant : found->second)
    for (std::size_t slot = 0; slot < values.size(); ++slot)
      known[slot] = known[slot] && same_bits(variant.values[slot], values[slot]);
  return NumberGuards(std::move(known));
}

std::shared_ptr<CompiledGraph> ProgramCache::insert(std::string key, std::span<const double> values,
                                                    NumberGuards guards, std::shared_ptr<CompiledGraph> compiled) {
  if (std::shared_ptr<CompiledGraph> known = find(key, values)) return known;
  variants_[std::move(key)].push_back({std::move(guards), {values.begin(), values.end()}, compiled});
  touch(*compiled);
  ++size_;
  return compiled;
}

}  // namespace lazuli
