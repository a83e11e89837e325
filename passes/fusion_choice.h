// SPDX-License-Identifier: MIT
// Which fusions are on: a level, and names switched on or off on top of it. "all,-softcap,+altup_predict"
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

enum class LAZULI_API FusionLevel : std::uint8_t {
  none,       // every op is a node of its own; folding, common subexpressions and row demand stay on
  primitive,  // none, and composites are spelled out in primitives
  all,
};
LAZULI_API std::string_view to_string(FusionLevel level);

struct LAZULI_API FusionChoice {
  FusionLevel level = FusionLevel::all;
  std::map<std::string, bool, std::less<>> overrides;

  // `more` names choices that are not passes or rules, such as a backend's. A text that starts with + or - is on top of
  // `all`. Throws an Error that begins with `source` and lists the names there are.
  static FusionChoice parse(std::string_view text, std::span<const std::string_view> more = {},
                            std::string_view source = "fusion");

  // Of passes, rules, the choice "composites" (ops like attention stay whole), and of choices the backend makes, which
  // count as fusions.
  bool enabled(std::string_view name) const;

  bool operator==(const FusionChoice&) const = default;
};
LAZULI_API std::string to_string(const FusionChoice& choice);

// Choices a backend makes when it turns nodes into kernel launches: fusions like the rules.
inline constexpr std::string_view backend_fusions[] = {
    "merged_linear",    // matmuls of one x run as one
    "linear_epilogue",  // elementwise work on the results of matmuls is done while they are in cache
    "row_chain",        // neighbours that work row by row run as one
};

// Names of passes, rules, backend_fusions, and "composites".
LAZULI_API std::vector<std::string_view> fusion_names();

}  // namespace lazuli
