// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/event.h>
#include <lazuli/graph/base/fork.h>

#include <atomic>
#include <utility>

namespace lazuli {
namespace {

enum Status : int { pending, finishing, succeeded, failed };

bool reached(int status) { return status == succeeded || status == failed; }

}  // namespace

struct Event::State {
  std::atomic<int> status{pending};
  std::exception_ptr error;                               // written while `finishing`, constant after
  const std::uint64_t generation = process_generation();  // nobody finishes it in a child of that process

  void finish(Status final_status, std::exception_ptr with_error) {
    int expected = pending;
    if (!status.compare_exchange_strong(expected, finishing, std::memory_order_acq_rel)) return;
    error = std::move(with_error);
    status.store(final_status);
    status.notify_all();
  }
};

Event::Event() : state_(std::make_shared<State>()) {}

void Event::wait() const {
  for (int status; !reached(status = state_->status.load(std::memory_order_acquire));) {
    if (state_->generation != process_generation()) fail_after_fork("result: begun");
    state_->status.wait(status);
  }
  if (state_->error) std::rethrow_exception(state_->error);
}

bool Event::ready() const { return reached(state_->status.load(std::memory_order_acquire)); }

std::exception_ptr Event::error() const { return ready() ? state_->error : nullptr; }

void Event::signal() {
  // A waiter may drop the event's last other handle, and with it this one, before notify_all returns.
  const std::shared_ptr<State> state = state_;
  state->finish(succeeded, nullptr);
}

void Event::fail(std::exception_ptr error) {
  const std::shared_ptr<State> state = state_;
  state->finish(failed, std::move(error));
}

}  // namespace lazuli
