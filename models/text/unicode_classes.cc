// SPDX-License-Identifier: MIT
#include <lazuli/models/text/unicode_classes.h>

#include <algorithm>
#include <iterator>

namespace lazuli {
namespace {

constexpr char32_t no_character = 0x110000;  // past the last code point

struct Range {
  char32_t first, last;
};

constexpr Range white_space[] = {{0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
                                 {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                                 {0x205f, 0x205f}, {0x3000, 0x3000}};

constexpr Range words[] = {
#define LAZULI_RANGE(first, last) {first, last},
#include <lazuli/models/text/word_characters.def>
#undef LAZULI_RANGE
};

template <std::size_t count>
bool holds(const Range (&ranges)[count], char32_t c) {
  const Range* found = std::ranges::lower_bound(ranges, c, {}, &Range::last);
  return found != std::end(ranges) && found->first <= c;
}

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

bool is_stripped(char32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

}  // namespace

CodePoint first_code_point(std::string_view text) {
  if (text.empty()) return {};
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (bytes == 0 || text.size() < bytes) return {no_character, 1};
  char32_t value = lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!continues(text[i])) return {no_character, 1};
    value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
  }
  return {value, bytes};
}

CodePoint last_code_point(std::string_view text) {
  for (std::size_t bytes = 1; bytes <= std::min<std::size_t>(4, text.size()); ++bytes) {
    const CodePoint found = first_code_point(text.substr(text.size() - bytes));
    if (found.bytes == bytes && found.value != no_character) return found;
  }
  return text.empty() ? CodePoint{} : CodePoint{no_character, 1};
}

bool is_white_space(char32_t c) { return holds(white_space, c); }
bool is_word(char32_t c) { return holds(words, c); }

std::string_view stripped(std::string_view text) {
  for (CodePoint c = first_code_point(text); c.bytes > 0 && is_stripped(c.value); c = first_code_point(text))
    text.remove_prefix(c.bytes);
  for (CodePoint c = last_code_point(text); c.bytes > 0 && is_stripped(c.value); c = last_code_point(text))
    text.remove_suffix(c.bytes);
  return text;
}

}  // namespace lazuli
