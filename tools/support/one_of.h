// SPDX-License-Identifier: MIT
// An option that takes one of a few names.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace lazuli::tool {

// Refuses everything else: "\"decod\" given, expected prefill or decode; near it: decode".
CLI::Validator one_of(std::vector<std::string> names);

}  // namespace lazuli::tool
