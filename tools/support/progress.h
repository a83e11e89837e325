// SPDX-License-Identifier: MIT
// A progress bar on stderr, for people only: silent unless stderr is a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace lazuli {

// Drawn on one line, at most ten times a second, and wiped when it ends, so that nothing of it stays in the scrollback.
// In colour unless NO_COLOR is set (no-color.org); not at all on a dumb terminal. For one thread at a time.
class Progress {
 public:
  // `total` counts whatever advance_to counts; 0 or less draws nothing.
  Progress(std::string label, std::int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance_to(std::int64_t done);
  // Makes room for a line of text; the next advance_to draws again.
  void wipe();

 private:
  std::string label_;
  std::int64_t total_;
  bool enabled_;
  bool colour_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_draw_{};
};

// One line of at most `columns` characters: the label, a bar, per cent; without the bar, then cut, where it is narrow.
std::string progress_line(std::string_view label, std::int64_t done, std::int64_t total, int columns, bool colour);

}  // namespace lazuli
