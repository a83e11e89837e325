// SPDX-License-Identifier: MIT
// The compiled programs of a session. Graphs that differ in their numbers alone have one key; under it are variants,
// each with the guards of what its passes made of the values. A handful of them is compiled for the values that come;
// then for what all of them had in common; and at last one that serves any values. So no values compile more than that.
// Programs are kept within a bound of bytes, those that were used last.
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
  std::shared_ptr<CompiledGraph> find(const std::string& key, std::span<const double> values);
  // What the compilation of the next variant may know of the values.
  NumberGuards next_guards(const std::string& key, std::span<const double> values) const;
  // Keeps it, or gives the one that somebody else made meanwhile.
  std::shared_ptr<CompiledGraph> insert(std::string key, std::span<const double> values, NumberGuards guards,
                                        std::shared_ptr<CompiledGraph> compiled);
  std::int64_t size() const { return size_; }
  std::size_t variants(const std::string& key) const;
  // It is used now: found, made or run.
  void touch(CompiledGraph& compiled) { compiled.last_used = ++uses_; }
  // All of them, the one used last first.
  std::vector<std::shared_ptr<CompiledGraph>> list() const;
  // Of one program, by an estimate, without constants.
  static std::int64_t bytes_of(const CompiledGraph& compiled);
  // Of the programs, by an estimate, and of constants that nobody holds but they.
  std::int64_t bytes() const;
  // Takes out what was used longest ago until the rest fits, but never the last one used. For the caller to let go of
  // where that may take long.
  std::vector<std::shared_ptr<CompiledGraph>> evict(std::int64_t max_bytes);
  std::vector<std::shared_ptr<CompiledGraph>> clear() { return evict(-1); }

 private:
  struct Variant {
    NumberGuards guards;
    std::vector<double> values;  // of the graph it was compiled from
    std::shared_ptr<CompiledGraph> compiled;
  };
  class Bytes;

  std::unordered_map<std::string, std::vector<Variant>> variants_;
  std::int64_t size_ = 0;
  std::uint64_t uses_ = 0;
};

}  // namespace lazuli
