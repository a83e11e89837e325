// SPDX-License-Identifier: MIT
#include <lazuli/graph/numbers.h>
#include <lazuli/runtime/program_cache.h>

#include <utility>

namespace lazuli {

std::shared_ptr<CompiledGraph> ProgramCache::find(const std::string& key, std::span<const double> values) const {
  const auto found = variants_.find(key);
  if (found == variants_.end()) return nullptr;
  for (const Variant& variant : found->second)
    if (variant.guards.hold(values)) return variant.compiled;
  return nullptr;
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
  ++size_;
  return compiled;
}

}  // namespace lazuli
