// SPDX-License-Identifier: MIT
#include <lazuli/version.h>

namespace lazuli {

const char* version() { return LAZULI_VERSION_STRING; }

}  // namespace lazuli
