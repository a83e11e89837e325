// SPDX-License-Identifier: MIT
// What this build is.
#pragma once

#include <string>

namespace lazuli::tool {

std::string commit();        // "v0.1.0-3-gabcdef", or "unknown" outside a git checkout
std::string llvm_version();  // "19.1.7"
std::string version_text();  // for --version: all of it, and the features built in

}  // namespace lazuli::tool
