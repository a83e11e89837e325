// SPDX-License-Identifier: MIT
// Position in a text, and its smallest pieces: characters, words, numbers, strings.
#pragma once

#include <fmt/format.h>
#include <lazuli/graph/base/fail.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace lazuli {

// Of what is found, in errors.
inline constexpr std::size_t max_word_in_errors = 40;

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  std::size_t position() const { return position_; }

  // Throws an Error that begins with line and column of `position`.
  template <class... Args>
  [[noreturn]] void fail_at(std::size_t position, fmt::format_string<Args...> text, Args&&... args) const {
    fail_at(position, ErrorDetails{}, fmt::format(text, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail_at(std::size_t position, ErrorDetails details, const std::string& text) const;
  [[noreturn]] void fail_expected(std::string_view what);

  // Blanks and a comment, up to the end of the line.
  void skip_spaces();
  void skip_lines();

  char peek();
  bool at_end() { return peek() == '\0' && position_ >= text_.size(); }
  bool accept(char c);
  void expect(char c);
  void expect_line_end();

  // Letters, digits and underscores, and the characters of `more`; "" when there is none.
  std::string_view peek_word(std::string_view more = {});
  std::string_view take_word(std::string_view what, std::string_view more = {});
  bool accept_word(std::string_view word);

  bool at_number();
  // Whether the digits of an integer come next that no double is.
  bool at_inexact_integer();
  template <class T>
  T take_number(std::string_view what) {
    skip_spaces();
    T value{};
    const char* begin = text_.data() + position_;
    const char* end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(begin, end, value);
    const bool whole = stop == end || !(is_word_character(*stop) || *stop == '.');
    if (error == std::errc::result_out_of_range) fail_expected(fmt::format("{} within range", what));
    if (error != std::errc() || !whole) fail_expected(what);
    position_ += static_cast<std::size_t>(stop - begin);
    return value;
  }

  std::string take_string(std::string_view what);
  // What stands before the next '}' on the line, without blanks at the ends; that it is there is checked.
  std::string_view take_up_to_brace();
  // A word, or a string where the name has other characters.
  std::string take_name(std::string_view what);

 private:
  static bool is_word_character(char c);

  void skip_spaces_alone();
  char take_escape();
  std::string found();

  std::string_view text_;
  std::size_t position_ = 0;
};

}  // namespace lazuli
