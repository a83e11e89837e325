// SPDX-License-Identifier: MIT
// immintrin.h for AVX-512 units, without a warning about the compiler's own code.
#pragma once

// GCC 12's header initialises "undefined" registers with themselves and warns of it wherever they are inlined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__  // which does not know this one
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
