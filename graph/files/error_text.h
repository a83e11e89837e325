// SPDX-License-Identifier: MIT
// Numbers and names as errors about files spell them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lazuli {

// 250,000,000
inline std::string grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

// For errors, which are one line, whatever the file holds.
inline std::string printable(std::string_view text) {
  constexpr std::size_t longest = 100;
  std::string out;
  for (const char c : text.substr(0, longest)) out += c < ' ' || c > '~' ? '?' : c;
  return text.size() > longest ? out + "..." : out;
}

// The whole text without control characters.
inline std::string one_line(std::string text) {
  for (char& c : text)
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) c = '?';
  return text;
}

}  // namespace lazuli
