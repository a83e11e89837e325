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

// The same with data (error.h).
template <class... Args>
[[noreturn]] void fail(ErrorDetails details, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(fmt::format(text, std::forward<Args>(args)...), std::move(details));
}

// With the scope and the place in the source that this thread is building at.
ErrorDetails built_here(ErrorDetails details);

// An error of a file, by readers and writers; by convention the text begins with its name.
template <class... Args>
[[noreturn]] void fail_file(fmt::format_string<Args...> text, Args&&... args) {
  fail(ErrorDetails{.kind = ErrorKind::file}, "{}", fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail_internal(fmt::format_string<Args...> text, Args&&... args) {
  throw InternalError("internal error: " + fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace lazuli
