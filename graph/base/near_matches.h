// SPDX-License-Identifier: MIT
// Names that somebody may have meant.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli {

// The names nearest to `wanted`: few edits away (Levenshtein distance), or containing it; nearest first, of equals the
// first in the list, at most `most`.
std::vector<std::string> near_matches(std::string_view wanted, std::span<const std::string> names,
                                      std::size_t most = 5);

// "; near it: a, b", or "" where nothing is near: the tail of an error text.
std::string near_matches_text(std::string_view wanted, std::span<const std::string> names);

}  // namespace lazuli
