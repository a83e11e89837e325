// SPDX-License-Identifier: MIT
// How our own code reports an error: one line, formatted. Not installed: whoever uses lazuli needs no fmt.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/base/error.h>

#include <utility>

namespace lazuli {

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail_internal(fmt::format_string<Args...> text, Args&&... args) {
  throw InternalError("internal error: " + fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace lazuli
