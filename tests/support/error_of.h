// SPDX-License-Identifier: MIT
// What a test expects an action to complain about.
#pragma once

#include <lazuli/graph/base/error.h>

#include <optional>
#include <string>

namespace lazuli::test {

// The text of what `action` throws; other exceptions than `Exception` pass.
template <class Exception = Error, class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Exception& error) {
    return error.what();
  }
  return "no error";
}

// What `action` throws, for its data; none where it throws nothing. Other exceptions than `Exception` pass.
template <class Exception = Error, class Action>
std::optional<Exception> caught(Action&& action) {
  try {
    action();
  } catch (const Exception& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace lazuli::test
