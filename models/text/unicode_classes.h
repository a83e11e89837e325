// SPDX-License-Identifier: MIT
// The classes of Unicode characters that text is trimmed and cut by.
#pragma once

#include <cstddef>
#include <string_view>

namespace lazuli {

// A code point at the front or end of a text, and its bytes; a byte that is no part of a UTF-8 sequence stands alone,
// and is a code point that no class has.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;  // 0: the text is empty
};
CodePoint first_code_point(std::string_view text);
CodePoint last_code_point(std::string_view text);

bool is_white_space(char32_t c);  // the property White_Space: \s of regular expressions
bool is_word(char32_t c);         // \w: letters, marks, decimal digits, connecting punctuation, joiners

// Without white space and the separators U+001C to U+001F at both ends: Python's str.strip, which chat templates trim
// by.
std::string_view stripped(std::string_view text);

}  // namespace lazuli
