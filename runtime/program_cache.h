// SPDX-License-Identifier: MIT
// The compiled programs of a session. Graphs that differ in their numbers alone have one key; under it are variants,
// each with the guards of what its passes made of the values. A handful of them is compiled for the values that come;
// then for what all of them had in common; and at last one that serves any values. So no values compile more than that.
#pragma once

#include <lazuli/passes/number_guards.h>
#include <lazuli/runtime/compiled_graph.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace lazuli {

// Not thread-safe.
class ProgramCache {
 public:
  static constexpr std::size_t max_variants_for_values = 4, max_variants_in_common = 8;  // the latter in all

  // The program for these values; null where none of its guards hold.
  std::shared_ptr<CompiledGraph> find(const std::string& key, std::span<const double> values) const;
  // What the compilation of the next variant may know of the values.
  NumberGuards next_guards(const std::string& key, std::span<const double> values) const;
  // Keeps it, or gives the one that somebody else made meanwhile.
  std::shared_ptr<CompiledGraph> insert(std::string key, std::span<const double> values, NumberGuards guards,
                                        std::shared_ptr<CompiledGraph> compiled);
  std::int64_t size() const { return size_; }

 private:
  struct Variant {
    NumberGuards guards;
    std::vector<double> values;  // of the graph it was compiled from
    std::shared_ptr<CompiledGraph> compiled;
  };

  std::unordered_map<std::string, std::vector<Variant>> variants_;
  std::int64_t size_ = 0;
};

}  // namespace lazuli
