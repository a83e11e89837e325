// SPDX-License-Identifier: MIT
// How many threads a command may be given. The library does as it is told.
#pragma once

#include <string>

namespace lazuli::tool {

// The usable cores at most: more threads only wait for each other. Notes once what was asked for where that is less.
// What is no number is given back as it is.
std::string bounded_threads(const std::string& asked);

}  // namespace lazuli::tool
