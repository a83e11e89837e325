// SPDX-License-Identifier: MIT
// What the command line itself reports, beside the library's errors.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/base/error.h>

namespace lazuli::tool {

// Exit statuses; those of interrupted commands are in interrupt.h.
inline constexpr int success = 0, failure = 1, usage = 2;

// The command line is at fault, not the world: ends with status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> text, Args&&... args) {
  throw UsageError(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace lazuli::tool
