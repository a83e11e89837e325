// SPDX-License-Identifier: MIT
// The version, stated here alone: CMake reads it from these lines.
#pragma once

#include <lazuli/graph/base/export.h>

#define LAZULI_VERSION_MAJOR 0
#define LAZULI_VERSION_MINOR 2
#define LAZULI_VERSION_PATCH 0

#define LAZULI_VERSION_TEXT_(major, minor, patch) #major "." #minor "." #patch
#define LAZULI_VERSION_TEXT(major, minor, patch) LAZULI_VERSION_TEXT_(major, minor, patch)
#define LAZULI_VERSION_STRING LAZULI_VERSION_TEXT(LAZULI_VERSION_MAJOR, LAZULI_VERSION_MINOR, LAZULI_VERSION_PATCH)

namespace lazuli {

// Of the library that runs; the macros are those of the headers a program was compiled with.
LAZULI_API const char* version();

}  // namespace lazuli
