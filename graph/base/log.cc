// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/log.h>

#include <cstddef>

namespace lazuli {

std::string_view to_string(LogLevel level) {
  constexpr std::string_view names[] = {"debug", "info", "warning"};
  return names[static_cast<std::size_t>(level)];
}

}  // namespace lazuli
