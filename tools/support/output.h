// SPDX-License-Identifier: MIT
// Where results go: standard output, log lines, whole files.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lazuli::tool {

using Json = nlohmann::ordered_json;  // keys stand in the order they were set

// Writes to standard output. Throws an Error with the system's reason.
void print(std::string_view text);
// The same, and hands over what is buffered: for text that a person watches appear.
void print_now(std::string_view text);
// One document and a newline. Bytes that are not UTF-8 become U+FFFD.
std::string json_text(const Json& document);
void print_json(const Json& document);
// Log lines, on standard error.
void log(std::string_view line);

}  // namespace lazuli::tool
