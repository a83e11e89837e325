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

// What the kept programs take: counted once, and kept up while some of them go.
class ProgramCache::Bytes {
 public:
  explicit Bytes(const ProgramCache& programs) {
    for (const auto& [key, variants] : programs.variants_)
      for (const Variant& variant : variants) {
        total_ += bytes_of(*variant.compiled);
        for (const CompiledGraph::Held& held : variant.compiled->constants)
          if (auto buffer = held.buffer.lock()) constants_[std::move(buffer)].references += held.references;
      }
    for (auto& [buffer, constant] : constants_) count(*buffer, buffer.use_count(), constant);
  }

  std::int64_t total() const { return total_; }

  // What the program alone holds is its to free, once whoever took it lets it go: here it counts no more.
  void take_out(const CompiledGraph& compiled) {
    total_ -= bytes_of(compiled);
    for (const CompiledGraph::Held& held : compiled.constants) {
      const auto buffer = held.buffer.lock();
      const auto found = buffer ? constants_.find(buffer) : constants_.end();
      if (found == constants_.end()) continue;
      found->second.references -= held.references;
      count(*buffer, buffer.use_count() - 1, found->second);  // without the reference of this line
    }
  }

 private:
  struct Constant {
    long references = 0;  // of kept programs
    bool counts = false;
  };

  // One of its uses is the map's; others are of those who hold it besides the programs.
  void count(const Buffer& buffer, long uses, Constant& constant) {
    const bool counts = constant.references > 0 && uses <= constant.references + 1;
    if (counts == constant.counts) return;
    total_ += (counts ? 1 : -1) * static_cast<std::int64_t>(buffer.size());
    constant.counts = counts;
  }

  std::int64_t total_ = 0;
  std::unordered_map<std::shared_ptr<const Buffer>, Constant> constants_;
};

std::int64_t ProgramCache::bytes() const { return Bytes(*this).total(); }

std::vector<std::shared_ptr<CompiledGraph>> ProgramCache::evict(std::int64_t max_bytes) {
  std::vector<std::shared_ptr<CompiledGraph>> evicted;
  const bool all = max_bytes < 0;
  const std::int64_t kept = all ? 0 : 1;
  if (size_ <= kept) return evicted;
  Bytes bytes(*this);
  while (size_ > kept && (all || bytes.total() > max_bytes)) {
    auto oldest = variants_.begin();
    std::size_t index = 0;
    for (auto entry = variants_.begin(); entry != variants_.end(); ++entry)
      for (std::size_t i = 0; i < entry->second.size(); ++i)
        if (entry->second[i].compiled->last_used < oldest->second[index].compiled->last_used) {
          oldest = entry;
          index = i;
        }
    bytes.take_out(*oldest->second[index].compiled);
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
  Variant variant{std::move(guards), {values.begin(), values.end()}, compiled};
  const auto entry = variants_.try_emplace(std::move(key)).first;
  try {
    entry->second.push_back(std::move(variant));
  } catch (...) {
    if (entry->second.empty()) variants_.erase(entry);  // a key always has a program
    throw;
  }
  touch(*compiled);
  ++size_;
  return compiled;
}

}  // namespace lazuli
