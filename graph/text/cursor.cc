// SPDX-License-Identifier: MIT
#include <lazuli/graph/text/cursor.h>

namespace lazuli {

void Cursor::fail_at(std::size_t position, ErrorDetails details, const std::string& text) const {
  const std::string_view before = text_.substr(0, position);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  fail(std::move(details), "line {}, column {}: {}", std::count(before.begin(), before.end(), '\n') + 1,
       position - line_start + 1, text);
}

void Cursor::fail_expected(std::string_view what) {
  skip_spaces();
  fail_at(position_, "expected {}, found {}", what, found());
}

void Cursor::skip_spaces() {
  skip_spaces_alone();
  if (position_ < text_.size() && text_[position_] == '#')
    position_ = std::min(text_.find('\n', position_), text_.size());
}

void Cursor::skip_spaces_alone() {
  while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t' || text_[position_] == '\r'))
    ++position_;
}

void Cursor::skip_lines() {
  for (skip_spaces(); position_ < text_.size() && text_[position_] == '\n'; skip_spaces()) ++position_;
}

char Cursor::peek() {
  skip_spaces();
  return position_ < text_.size() ? text_[position_] : '\0';
}

bool Cursor::accept(char c) {
  if (at_end() || text_[position_] != c) return false;
  ++position_;
  return true;
}

void Cursor::expect(char c) {
  if (!accept(c)) fail_expected(fmt::format("'{}'", c));
}

void Cursor::expect_line_end() {
  if (at_end() || peek() == '\n' || peek() == '}') return;
  fail_expected("the end of the line");
}

std::string_view Cursor::peek_word(std::string_view more) {
  skip_spaces();
  std::size_t end = position_;
  while (end < text_.size() && (is_word_character(text_[end]) || more.find(text_[end]) != more.npos)) ++end;
  return text_.substr(position_, end - position_);
}

std::string_view Cursor::take_word(std::string_view what, std::string_view more) {
  const std::string_view word = peek_word(more);
  if (word.empty()) fail_expected(what);
  position_ += word.size();
  return word;
}

bool Cursor::accept_word(std::string_view word) {
  if (peek_word() != word) return false;
  position_ += word.size();
  return true;
}

bool Cursor::at_number() {
  const char c = peek();
  const std::string_view word = peek_word();
  return (c >= '0' && c <= '9') || c == '-' || c == '.' || word == "inf" || word == "nan";
}

bool Cursor::at_inexact_integer() {
  skip_spaces();
  std::uint64_t value = 0;
  const char* begin = text_.data() + position_ + (peek() == '-' ? 1 : 0);
  const char* end = text_.data() + text_.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || (stop != end && (is_word_character(*stop) || *stop == '.'))) return false;
  const auto nearest = static_cast<double>(value);
  return nearest >= 0x1p64 || static_cast<std::uint64_t>(nearest) != value;
}

std::string Cursor::take_string(std::string_view what) {
  if (peek() != '"') fail_expected(what);
  const std::size_t start = position_++;
  std::string value;
  while (true) {
    if (position_ >= text_.size() || text_[position_] == '\n')
      fail_at(start, "the string has no closing '\"' on its line");
    const char c = text_[position_++];
    if (c == '"') return value;
    value += c == '\\' ? take_escape() : c;
  }
}

std::string_view Cursor::take_up_to_brace() {
  skip_spaces_alone();
  const std::size_t start = position_, stop = text_.find_first_of("}\n", start);
  if (stop == text_.npos || text_[stop] == '\n') fail_at(start, "the attributes have no closing '}}' on their line");
  position_ = stop;
  const std::string_view taken = text_.substr(start, stop - start);
  return taken.substr(0, taken.find_last_not_of(" \t") + 1);  // npos + 1 is 0
}

std::string Cursor::take_name(std::string_view what) {
  return peek() == '"' ? take_string(what) : std::string(take_word(what, ".-"));
}

bool Cursor::is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

char Cursor::take_escape() {
  const std::size_t start = position_ - 1;
  const char kind = position_ < text_.size() ? text_[position_++] : '\0';
  switch (kind) {
    case '"':
    case '\\':
      return kind;
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'x': {
      unsigned char value = 0;
      const std::string_view digits = text_.substr(position_, 2);
      const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
      if (error != std::errc() || stop != digits.data() + 2) break;
      position_ += 2;
      return static_cast<char>(value);
    }
    default:
      break;
  }
  fail_at(start, "unknown escape; expected \\\", \\\\, \\n, \\t or \\x and two hexadecimal digits");
}

std::string Cursor::found() {
  if (at_end()) return "the end of the text";
  if (text_[position_] == '\n') return "the end of the line";
  if (const auto byte = static_cast<unsigned char>(text_[position_]); byte < 0x20 || byte == 0x7f)
    return fmt::format("the byte 0x{:02x}", byte);
  const std::string_view word = peek_word("%.-").substr(0, max_word_in_errors);
  return fmt::format("'{}'", word.empty() ? text_.substr(position_, 1) : word);
}

}  // namespace lazuli
