// SPDX-License-Identifier: MIT
// The floating-point mode that lazuli computes in. A process may have another on its threads: a library built with
// -ffast-math makes denormals zero as it is loaded, and fesetround changes how sums round.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace lazuli {

// For its life this thread rounds to the nearest, keeps denormals, and traps nothing; then it is as it was, its
// exception flags as well. Stands around whatever computes elements or numbers: what is left out would give other bits
// on the caller's thread than on those of a session.
class DefaultFloatingPointMode {
 public:
#if defined(__x86_64__)
  DefaultFloatingPointMode() : callers_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~DefaultFloatingPointMode() { _mm_setcsr(callers_); }
#else
  DefaultFloatingPointMode() {
    std::fegetenv(&callers_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatingPointMode() { std::fesetenv(&callers_); }
#endif
  DefaultFloatingPointMode(const DefaultFloatingPointMode&) = delete;
  DefaultFloatingPointMode& operator=(const DefaultFloatingPointMode&) = delete;

 private:
#if defined(__x86_64__)
  unsigned callers_;
#else
  std::fenv_t callers_;
#endif
};

}  // namespace lazuli
