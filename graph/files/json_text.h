// SPDX-License-Identifier: MIT
// Values of JSON files as errors spell them.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/files/error_text.h>

#include <string>

namespace lazuli {

// A number, text or flag as it is written, cut where it is long; of lists and objects the kind and size alone: dump()
// of them recurses as deep as whoever wrote the file likes.
template <class Json>
std::string json_text(const Json& value) {
  if (value.is_array()) return fmt::format("a list of {}", value.size());
  if (value.is_object()) return fmt::format("an object of {}", value.size());
  return printable(value.dump());
}

}  // namespace lazuli
