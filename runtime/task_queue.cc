// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/runtime/task_queue.h>
#include <pthread.h>

#include <system_error>
#include <utility>

namespace lazuli {

TaskQueue::~TaskQueue() {
  {
    std::unique_lock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return idle(); });
  }
  if (thread_.joinable()) thread_.join();
}

void TaskQueue::submit(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { work(); });
    } catch (const std::system_error& error) {
      fail("queue: cannot start its thread: {}", error.code().message());
    }
    pthread_setname_np(thread_.native_handle(), "lazuli-queue");
  }
  queue_.push_back(std::move(task));
  changed_.notify_all();
}

bool TaskQueue::run_inline_if_idle(FunctionRef<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (!idle()) return false;
    busy_ = true;
    runner_ = std::this_thread::get_id();
  }
  run_guarded(task);
  const std::lock_guard lock(mutex_);
  busy_ = false;
  runner_ = {};
  changed_.notify_all();
  return true;
}

void TaskQueue::wait_idle() {
  std::unique_lock lock(mutex_);
  if (runner_ == std::this_thread::get_id()) fail_internal("queue: a task waits for its own queue");
  changed_.wait(lock, [&] { return idle(); });
}

std::exception_ptr TaskQueue::take_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(error_, nullptr);
}

void TaskQueue::run_guarded(FunctionRef<void()> task) {
  try {
    task();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void TaskQueue::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return !busy_ && (stop_ || !queue_.empty()); });
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    runner_ = std::this_thread::get_id();
    lock.unlock();
    run_guarded(task);
    task = nullptr;  // its captures go before the queue counts as idle, and outside the lock
    lock.lock();
    busy_ = false;
    runner_ = {};
    changed_.notify_all();
  }
}

}  // namespace lazuli
