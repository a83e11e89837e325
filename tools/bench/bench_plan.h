// SPDX-License-Identifier: MIT
// What `lazuli bench` measures: one case for each part and each combination of the values that are swept.
#pragma once

#include <lazuli/tools/support/options.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace lazuli::tool {

enum class BenchPart : std::uint8_t {
  prompt,
  decode,
  run,  // of a graph that is no model's: a call stands for a token
};
std::string_view to_string(BenchPart part);
std::string_view unit_of(BenchPart part);  // "tokens/s", "runs/s"

struct BenchSizes {
  std::int64_t prompt = 512;  // tokens; 0 leaves the part out
  std::int64_t decode = 128;
  std::int64_t depth = 8;  // tokens of context before the first generated one
};
void add_bench_sizes(CLI::App& command, BenchSizes& sizes);

// An option and the values it takes in turn: {"chunk", {"64", "all"}}.
struct BenchAxis {
  std::string key;
  std::vector<std::string> values;
};

// "chunk=64,128,all". A word that begins with + or - belongs to the value before it, so that no shell quotes are needed
// around fusion=all,all,-softcap,none. Throws UsageError for an option that cannot be swept and for an empty value.
BenchAxis parse_sweep(std::string_view text);
// "fused,unfused": values of fusion, where fused stands for all and unfused for none.
BenchAxis parse_compare(std::string_view text);

struct BenchLabel {
  std::string key, value;
  bool operator==(const BenchLabel&) const = default;
};

struct BenchRequest {
  CommonOptions options;
  BenchSizes sizes;
  std::vector<BenchAxis> sweeps;
  std::optional<BenchAxis> compare;
  bool graph = false;  // of a file: the one part is its run
};

struct BenchCase {
  BenchPart part = BenchPart::prompt;
  std::vector<BenchLabel> labels;  // of the axes that concern the part, `compare` last
  std::string name;                // "chunk=64/fusion=none"; the bare value where `compare` is the only axis
  CommonOptions options;
  BenchSizes sizes;
};

// Indices of two cases to compare.
struct BenchPair {
  std::size_t after, before;
  bool operator==(const BenchPair&) const = default;
};

struct BenchPlan {
  std::vector<BenchCase> cases;
  std::vector<BenchPair> pairs;
};

// The product of all axes. A case stands once, however many values other parts' axes have: the chunk is a matter of
// prompts alone, the depth of generation; a part that no axis concerns is left out. With `compare`, pairs are its first
// value after each of the others, at every point of the sweeps; otherwise each case of a part after the part's first.
// Throws UsageError for an axis given twice, for values the option does not take, and for an axis that is a matter of
// models where there is none.
BenchPlan bench_plan(const BenchRequest& request);

}  // namespace lazuli::tool
