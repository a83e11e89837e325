// SPDX-License-Identifier: MIT
// Makes graph after graph, runs each in several ways, and says which results are not what they must be.
#pragma once

#include <lazuli/tests/fuzz/graphs/generator.h>
#include <lazuli/tests/fuzz/graphs/shrink.h>
#include <lazuli/tests/fuzz/graphs/variants.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lazuli::fuzz {

struct Finding {
  Place place;
  std::string what;    // "bits", "reference", "spelling commuted", "levels", "error"
  std::string detail;  // the variants, and the first element that differs
  RandomGraph graph;   // shrunk where that was asked for
};
std::string to_string(const Finding& finding);

struct Counts {
  std::uint64_t graphs = 0, runs = 0, spellings = 0, by_node = 0, levels = 0, refused_spellings = 0;
  Counts& operator+=(const Counts& other);
};

// One thread's: it keeps its sessions.
class Fuzzer {
 public:
  // At these levels; none: all that this host has.
  Fuzzer(std::vector<Isa> levels, const Plant* plant, bool shrink);

  std::optional<Finding> try_graph(const Place& place);
  // Variants that a graph of this place is run as, the base first.
  std::vector<Variant> variants_of(const Place& place) const;

  const Counts& counts() const { return counts_; }

 private:
  // What is wrong with a graph, if it is.
  using Detail = std::function<std::optional<std::string>(const RandomGraph&)>;
  struct Failure {
    std::string what, detail;
    Detail again;  // of a smaller graph
  };

  std::optional<Failure> check_variants(const RandomGraph& graph, const std::vector<Variant>& variants);
  std::optional<Failure> check_levels(const RandomGraph& graph, const Variant& base, Isa other);
  std::optional<Failure> check_nodes(const RandomGraph& graph, const Variant& variant);
  std::optional<Failure> check_spellings(const RandomGraph& graph, const Variant& variant, Random& random);
  std::optional<std::string> error_of(const RandomGraph& graph, const Variant& variant);
  std::optional<std::string> difference_between(const RandomGraph& graph, const Variant& base, const Variant& variant);
  std::optional<Failure> check(const Place& place, const RandomGraph& graph);

  std::vector<Isa> levels_;
  Sessions sessions_;
  bool shrink_;
  std::optional<std::uint64_t> failing_family_;
  Counts counts_;
};

}  // namespace lazuli::fuzz
