// SPDX-License-Identifier: MIT
#include <lazuli/tools/support/interrupt.h>

#include <csignal>

namespace lazuli::tool {
namespace {

std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the signal handler writes it");

void request(int) { requested.store(true, std::memory_order_relaxed); }

}  // namespace

const std::atomic<bool>& watch_interrupt() {
  static const bool installed = [] {
    struct sigaction action{};
    action.sa_handler = request;
    // SA_RESETHAND: the second interrupt has its default effect. SA_RESTART: a read of standard input goes on.
    action.sa_flags = SA_RESETHAND | SA_RESTART;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGINT, &action, nullptr) == 0;
  }();
  static_cast<void>(installed);
  return requested;
}

void check_interrupt() {
  if (requested.load(std::memory_order_relaxed)) throw Interrupted();
}

}  // namespace lazuli::tool
