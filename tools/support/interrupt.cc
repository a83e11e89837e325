// SPDX-License-Identifier: MIT
#include <lazuli/graph/files/unfinished.h>
#include <lazuli/tools/support/interrupt.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <string_view>
#include <system_error>
#include <thread>

namespace lazuli::tool {
namespace {

// Long enough for a step of a small model, and short enough for a person who waits.
constexpr timespec grace{0, 200'000'000};

std::atomic<bool> requested{false};
std::atomic<bool> ends_by_itself{false};
std::atomic<int> signal_taken{SIGINT};

sigset_t watched_signals() {
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action{};
    const bool ignored = sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
    if (!ignored) sigaddset(&watched, number);
  }
  return watched;
}

// Nothing is unwound: the command may be anywhere, and holds what it likes.
[[noreturn]] void end_now() {
  const auto lock = remove_unfinished();
  constexpr std::string_view line = "lazuli: interrupted\n";
  if (first_to_tell_interrupt()) static_cast<void>(!write(STDERR_FILENO, line.data(), line.size()));
  _exit(interrupted_status());
}

[[noreturn]] void watch(const sigset_t& watched) {
  int number = 0;
  while (sigwait(&watched, &number) != 0) {
  }
  signal_taken.store(number, std::memory_order_relaxed);
  requested.store(true, std::memory_order_release);
  // A second signal ends it at once.
  const bool again = sigtimedwait(&watched, nullptr, &grace) > 0;
  if (!again && ends_by_itself.load(std::memory_order_acquire))
    while (sigwait(&watched, &number) != 0) {
    }
  end_now();
}

}  // namespace

void start_watching_interrupts() {
  const sigset_t watched = watched_signals();
  pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  try {
    std::thread([watched] { watch(watched); }).detach();
  } catch (const std::system_error&) {
    pthread_sigmask(SIG_UNBLOCK, &watched, nullptr);  // signals have their default effect
  }
}

const std::atomic<bool>& watch_interrupt() { return requested; }

void check_interrupt() {
  if (!requested.load(std::memory_order_acquire)) return;
  end_by_itself();
  throw Interrupted();
}

void end_by_itself() { ends_by_itself.store(true, std::memory_order_release); }

bool first_to_tell_interrupt() {
  static std::atomic_flag told;
  return !told.test_and_set();
}

int interrupted_status() { return 128 + signal_taken.load(std::memory_order_relaxed); }

}  // namespace lazuli::tool
