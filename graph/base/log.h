// SPDX-License-Identifier: MIT
// What whoever operates a program may want to know of the library, which prints nothing itself.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <functional>
#include <string_view>

namespace lazuli {

enum class LAZULI_API LogLevel : std::uint8_t {
  debug,    // work that was saved: something was found on disk
  info,     // work that was done and takes time or memory: compiled, laid out, evicted
  warning,  // something that should work does not, and costs time from now on
};
LAZULI_API std::string_view to_string(LogLevel level);

// One line each, without an end of line.
using LogSink = std::function<void(LogLevel level, std::string_view text)>;

}  // namespace lazuli
