// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/bodies.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/tests/fuzz/graphs/by_node.h>
#include <lazuli/tests/fuzz/graphs/compare.h>
#include <lazuli/tests/fuzz/graphs/fuzz.h>
#include <lazuli/tests/fuzz/graphs/spellings.h>

#include <algorithm>

namespace lazuli::fuzz {
namespace {

enum Purpose : std::uint64_t { of_family = 10, of_graph = 11 };

constexpr std::int64_t most_kernels = 12000;  // of one thread's sessions
constexpr std::uint64_t kernels_looked_at = 64;
constexpr int shrinking_runs = 600;

// Levels agree within rounding where products and attention have kernels of their own, and bit for bit elsewhere.
bool same_at_all_levels(const Graph& graph) {
  return std::all_of(graph.nodes.begin(), graph.nodes.end(), [](const GraphNode& node) {
    const std::vector<NamedBody> bodies = bodies_of(node);
    return !is_product(node.op) && node.op != Op::attention && node.op != Op::rope &&
           std::all_of(bodies.begin(), bodies.end(),
                       [](const NamedBody& body) { return same_at_all_levels(*body.graph); });
  });
}

// What two outcomes differ in: of two errors, whether there is one.
std::optional<std::string> difference_of(const Graph& graph, const Outcome& expected, const Outcome& found) {
  if (!expected.error.empty() || !found.error.empty()) {
    if (!expected.error.empty() && !found.error.empty()) return std::nullopt;
    return fmt::format("expected {}, found {}", expected.error.empty() ? "results" : "error: " + expected.error,
                       found.error.empty() ? "results" : "error: " + found.error);
  }
  const std::optional<Difference> difference = first_difference(output_types(graph), expected.results, found.results);
  return difference ? std::optional(to_string(*difference)) : std::nullopt;
}

}  // namespace

Counts& Counts::operator+=(const Counts& other) {
  graphs += other.graphs;
  runs += other.runs;
  spellings += other.spellings;
  by_node += other.by_node;
  levels += other.levels;
  refused_spellings += other.refused_spellings;
  return *this;
}

std::string to_string(const Finding& finding) {
  const std::string only = finding.place.only ? fmt::format(" --only {}", to_string(*finding.place.only)) : "";
  return fmt::format("{}: seed {}, graph {}\n{}{}\nagain: lazuli_graph_fuzz --seed {} --first {} --graphs 1{}\n",
                     finding.what, finding.place.seed, finding.place.index, to_text(finding.graph.graph),
                     finding.detail, finding.place.seed, finding.place.index, only);
}

Fuzzer::Fuzzer(std::vector<Isa> levels, const Plant* plant, bool shrink)
    : levels_(std::move(levels)), sessions_(plant), shrink_(shrink) {
  for (const IsaLevel& level : isa_levels())
    if (level.usable && levels_.empty()) {
      for (const IsaLevel& each : isa_levels())
        if (each.usable) levels_.push_back(each.isa);
      break;
    }
}

// A family has one level and one precision. Of each graph: the base, one with everything fused, one of the others. In
// f32 precision OpenBLAS adds up by how operands lie, so that threads alone may be compared.
std::vector<Variant> Fuzzer::variants_of(const Place& place) const {
  constexpr int threads[] = {1, 2, 3, 8}, more[] = {2, 3};
  constexpr Way ways[] = {Way::prepared, Way::donated, Way::compiled, Way::lazy};
  constexpr const char* mixed[] = {"all,-row_demand,-common_subexpressions", "none,+fuse_loops",
                                   "all,-fold_views,-fold_constants", "all,-linear_epilogue,-row_chain",
                                   "all,-gelu_mul,-softcap,-tanh_mul"};
  Random family = family_stream(place, of_family), random = stream(place, of_graph);
  const Isa isa = family.of(levels_);
  const Precision precision = family.chance(10) ? Precision::f32 : Precision::fast;
  const bool by_threads = precision == Precision::f32;
  const char* const fusion = by_threads ? "all" : "none";
  std::vector<Variant> variants{{.fusion = fusion, .isa = isa, .precision = precision, .is_base = true}};
  const auto add = [&](const char* each, int count, Way way) {
    variants.push_back({.fusion = each, .threads = count, .isa = isa, .precision = precision, .way = way});
  };
  const int count = by_threads ? 3 : random.of(threads);
  add("all", count, random.of(ways));
  if (by_threads) return variants;
  const int other = random.of(more);
  switch (random.below(6)) {
    case 0:
      add("none", other, random.of(ways));
      break;
    case 1:
      add(random.of(mixed), 2, Way::prepared);
      break;
    case 2:
      add("all", 1, Way::eager);
      break;
    case 3:
      add("none", 1, Way::eager);
      break;
    case 4:
      add("all", count, Way::prepared);  // again
      break;
    default:
      add("all", other, random.of(ways));
  }
  return variants;
}

std::optional<std::string> Fuzzer::error_of(const RandomGraph& graph, const Variant& variant) {
  const Outcome outcome = sessions_.run(graph, variant);
  if (outcome.error.empty()) return std::nullopt;
  return fmt::format("{}: {}", to_string(variant), outcome.error);
}

std::optional<std::string> Fuzzer::difference_between(const RandomGraph& graph, const Variant& base,
                                                      const Variant& variant) {
  const Outcome expected = sessions_.run(graph, base), found = sessions_.run(graph, variant);
  const auto difference = difference_of(graph.graph, expected, found);
  if (!difference) return std::nullopt;
  return fmt::format("{}\n{}\n{}", to_string(base), to_string(variant), *difference);
}

std::optional<Fuzzer::Failure> Fuzzer::check_variants(const RandomGraph& graph, const std::vector<Variant>& variants) {
  const Variant base = variants[0];
  const Outcome expected = sessions_.run(graph, base);
  ++counts_.runs;
  // The generator makes graphs that run.
  if (!expected.error.empty())
    return Failure{"error", expected.error, [this, base](const RandomGraph& other) { return error_of(other, base); }};
  for (std::size_t i = 1; i < variants.size(); ++i) {
    const Variant variant = variants[i];
    const Outcome found = sessions_.run(graph, variant);
    ++counts_.runs;
    if (const auto difference = difference_of(graph.graph, expected, found))
      return Failure{
          "bits", fmt::format("{}\n{}\n{}", to_string(base), to_string(variant), *difference),
          [this, base, variant](const RandomGraph& other) { return difference_between(other, base, variant); }};
  }
  return std::nullopt;
}

std::optional<Fuzzer::Failure> Fuzzer::check_levels(const RandomGraph& graph, const Variant& base, Isa other) {
  if (base.isa == other || !same_at_all_levels(graph.graph)) return std::nullopt;
  Variant there = base;
  there.isa = other;
  ++counts_.levels;
  const Detail again = [this, base, there](const RandomGraph& smaller) {
    return same_at_all_levels(smaller.graph) ? difference_between(smaller, base, there) : std::nullopt;
  };
  const auto difference = again(graph);
  if (!difference) return std::nullopt;
  return Failure{"levels", *difference, again};
}

std::optional<Fuzzer::Failure> Fuzzer::check_nodes(const RandomGraph& graph, const Variant& variant) {
  ++counts_.by_node;
  const Detail again = [this, variant](const RandomGraph& smaller) {
    return difference_from_reference(sessions_, smaller, variant);
  };
  const auto difference = again(graph);
  if (!difference) return std::nullopt;
  return Failure{"reference", *difference, again};
}

std::optional<Fuzzer::Failure> Fuzzer::check_spellings(const RandomGraph& graph, const Variant& variant,
                                                       Random& random) {
  constexpr int tries = 6;
  std::optional<RandomGraph> other;
  const Spelling* spelling = nullptr;
  const std::uint64_t draw = random.next();
  for (int i = 0; i < tries && !other; ++i) {
    spelling = &random.of(spellings());
    other = spelled(graph, *spelling, random.below(static_cast<int>(graph.graph.nodes.size())), draw);
  }
  if (!other) {
    ++counts_.refused_spellings;
    return std::nullopt;
  }
  ++counts_.spellings;
  const auto detail = [this, spelling, variant](const RandomGraph& plain,
                                                const RandomGraph& changed) -> std::optional<std::string> {
    const Outcome expected = sessions_.run(plain, variant), found = sessions_.run(changed, variant);
    const auto difference = difference_of(plain.graph, expected, found);
    if (!difference) return std::nullopt;
    return fmt::format("{}\nspelled with {}:\n{}{}", to_string(variant), spelling->name, to_text(changed.graph),
                       *difference);
  };
  const auto difference = detail(graph, *other);
  if (!difference) return std::nullopt;
  const Detail again = [spelling, draw, detail](const RandomGraph& smaller) -> std::optional<std::string> {
    for (std::size_t i = 0; i < smaller.graph.nodes.size(); ++i)
      if (const auto changed = spelled(smaller, *spelling, static_cast<std::int32_t>(i), draw))
        if (auto found = detail(smaller, *changed)) return found;
    return std::nullopt;
  };
  return Failure{fmt::format("spelling {}", spelling->name), *difference, again};
}

std::optional<Fuzzer::Failure> Fuzzer::check(const Place& place, const RandomGraph& graph) {
  const std::vector<Variant> variants = variants_of(place);
  Random random = stream(place, of_graph + 1);
  const bool nodes = random.chance(25), primitive = random.chance(30), spells = random.chance(35),
             level = random.chance(15);
  const Isa other = random.of(levels_);
  if (auto failure = check_variants(graph, variants)) return failure;
  const bool bits = variants[0].precision == Precision::fast;
  if (level && bits)
    if (auto failure = check_levels(graph, variants[0], other)) return failure;
  if (spells && bits)
    if (auto failure = check_spellings(graph, variants[1], random)) return failure;
  if (!nodes) return std::nullopt;
  Variant alone = variants[0];
  if (primitive) alone.fusion = "primitive";
  return check_nodes(graph, alone);
}

std::optional<Finding> Fuzzer::try_graph(const Place& place) {
  if (++counts_.graphs % kernels_looked_at == 0) sessions_.bound_kernels(most_kernels);
  if (failing_family_ == place.family()) return std::nullopt;  // it would fail again
  const RandomGraph graph = generate(place);
  std::optional<Failure> failure = check(place, graph);
  if (!failure) return std::nullopt;
  Finding finding{place, failure->what, failure->detail, graph};
  failing_family_ = place.family();
  if (!shrink_) return finding;
  finding.graph =
      shrunk(graph, [&](const RandomGraph& other) { return failure->again(other).has_value(); }, shrinking_runs);
  if (const auto detail = failure->again(finding.graph)) finding.detail = *detail;
  return finding;
}

}  // namespace lazuli::fuzz
