// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/error.h>

#include <array>
#include <cstddef>

namespace lazuli {
namespace {

constexpr std::string_view names[] = {"invalid_argument", "shape",     "dtype",    "file",   "compile",
                                      "execution",        "cancelled", "deadline", "memory", "internal"};

// Errors that know nothing but their kind share these: making one allocates no more than its text does.
const ErrorDetails& details_of(ErrorKind kind) {
  static const auto of_kinds = [] {
    std::array<ErrorDetails, std::size(names)> made;
    for (std::size_t i = 0; i < made.size(); ++i) made[i].kind = static_cast<ErrorKind>(i);
    return made;
  }();
  return of_kinds[static_cast<std::size_t>(kind)];
}

}  // namespace

std::string_view to_string(ErrorKind kind) { return names[static_cast<std::size_t>(kind)]; }

Error::Error(const std::string& text, ErrorDetails details)
    : std::runtime_error(text), details_(std::make_shared<const ErrorDetails>(std::move(details))) {}

Error::Error(const std::string& text, ErrorKind kind)
    : std::runtime_error(text), details_(std::shared_ptr<void>(), &details_of(kind)) {}

}  // namespace lazuli
