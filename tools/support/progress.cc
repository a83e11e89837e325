// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/tools/support/progress.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace lazuli {
namespace {

constexpr std::chrono::milliseconds redraw_interval{100};
constexpr int widest_bar = 40, narrowest_bar = 4;
constexpr const char* wipe_line = "\r\x1b[K";

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value && *value;
}

bool can_draw() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && terminal && std::string_view(terminal) != "dumb";
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string progress_line(std::string_view label, std::int64_t done, std::int64_t total, int columns, bool colour) {
  done = std::clamp<std::int64_t>(done, 0, total);
  const double share = static_cast<double>(done) / static_cast<double>(total);
  // Rounded down: 100 % means done.
  std::string text = fmt::format("{} {:>3}%", label, static_cast<int>(share * 100));
  const int room = columns - static_cast<int>(text.size()) - 3;  // a space and two brackets
  if (room < narrowest_bar) return text.substr(0, static_cast<std::size_t>(std::max(columns, 0)));

  const int width = std::min(room, widest_bar), filled = static_cast<int>(share * width);
  const std::string bar(static_cast<std::size_t>(filled), '=');
  return fmt::format("{} [{}{}{}{:{}}]{}", label, colour ? "\x1b[32m" : "", bar, colour ? "\x1b[0m" : "", "",
                     width - filled, text.substr(label.size()));
}

Progress::Progress(std::string label, std::int64_t total)
    : label_(std::move(label)), total_(total), enabled_(total > 0 && can_draw()), colour_(!is_set("NO_COLOR")) {}

Progress::~Progress() { wipe(); }

void Progress::wipe() {
  if (!drawn_) return;
  std::fputs(wipe_line, stderr);
  std::fflush(stderr);
  drawn_ = false;
  next_draw_ = {};
}

void Progress::advance_to(std::int64_t done) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + redraw_interval;
  drawn_ = true;
  // One column stays free: a character in the last one makes some terminals wrap.
  const std::string line = wipe_line + progress_line(label_, done, total_, terminal_columns() - 1, colour_);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

}  // namespace lazuli
