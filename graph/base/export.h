// SPDX-License-Identifier: MIT
// What every public header needs: the standard it is written in, and the mark of what the shared library offers.
#pragma once

#if __cplusplus < 202002L
#error "lazuli's headers need C++20 or newer: compile with -std=c++20"
#endif

// Stands before public functions and in the heads of public types. Everything else of the shared library is hidden: it
// is compiled with -fvisibility=hidden.
#define LAZULI_API __attribute__((visibility("default")))
