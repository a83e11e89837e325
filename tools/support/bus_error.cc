// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <lazuli/graph/files/unfinished.h>
#include <lazuli/tools/support/bus_error.h>
#include <lazuli/tools/support/errors.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace lazuli::tool {
namespace {

// What follows runs inside the access that failed, wherever that is: until the line is written it allocates nothing.

void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Hexadecimal digits at the front of `text`, which it gives up.
std::uintptr_t take_address(std::string_view& text) {
  std::uintptr_t address = 0;
  for (; !text.empty(); text.remove_prefix(1)) {
    const char digit = text.front();
    const bool decimal = digit >= '0' && digit <= '9';
    if (!decimal && !(digit >= 'a' && digit <= 'f')) break;
    address = address * 16 + static_cast<std::uintptr_t>(decimal ? digit - '0' : digit - 'a' + 10);
  }
  return address;
}

// The path at the end of a line of /proc/self/maps, "begin-end rwxp offset device inode   path", where the address lies
// in it; else "".
std::string_view path_at(std::string_view line, std::uintptr_t address) {
  const std::uintptr_t begin = take_address(line);
  if (line.empty() || line.front() != '-') return {};
  line.remove_prefix(1);
  const std::uintptr_t end = take_address(line);
  const std::size_t path = line.find('/');
  return address >= begin && address < end && path != line.npos ? line.substr(path) : std::string_view();
}

// Names the file that is mapped there, if one is.
std::string_view mapped_file(std::uintptr_t address, char* buffer, std::size_t room) {
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return {};
  std::size_t held = 0;
  for (ssize_t count; (count = read(maps, buffer + held, room - held)) > 0;) {
    held += static_cast<std::size_t>(count);
    std::string_view rest(buffer, held);
    for (std::size_t newline; (newline = rest.find('\n')) != rest.npos; rest.remove_prefix(newline + 1))
      if (const std::string_view path = path_at(rest.substr(0, newline), address); !path.empty()) return path;
    held = rest.size() < room ? rest.size() : 0;
    std::memmove(buffer, rest.data(), held);
  }
  close(maps);
  return {};
}

// A bug's crash, or a signal that somebody sent: the access is made again and ends the process; what was sent is too.
void leave_to_default(int number, int code) {
  std::signal(number, SIG_DFL);
  if (code <= 0) raise(number);
}

void report(int number, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR) return leave_to_default(number, info->si_code);
  char buffer[1 << 14];
  const std::string_view path = mapped_file(reinterpret_cast<std::uintptr_t>(info->si_addr), buffer, sizeof buffer);
  if (path.empty()) return leave_to_default(number, info->si_code);
  // A second thread may fail alike meanwhile, and its line would stand between ours.
  static std::atomic_flag reported;
  if (reported.test_and_set()) {
    for (;;) pause();
  }
  say("lazuli: ");
  say(path);
  say(": cannot be read any more: it was cut short while it was in use, or its disk failed\n");
  const auto lock = remove_unfinished();
  _exit(failure);
}

}  // namespace

void report_bus_errors() {
  struct sigaction action{};
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace lazuli::tool
