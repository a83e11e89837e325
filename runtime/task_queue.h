// SPDX-License-Identifier: MIT
// A queue of tasks that run one after the other, in order, away from the caller.
#pragma once

#include <lazuli/graph/base/function_ref.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace lazuli {

// First in, first out, on one thread that starts with the first submit. Any thread may call any member, except that a
// task must neither wait for nor destroy the queue it runs on.
class TaskQueue {
 public:
  TaskQueue() = default;
  ~TaskQueue();  // runs what is queued, then ends the thread
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  // Throws Error if the thread cannot be started; the task is then not queued.
  void submit(std::function<void()> task);

  // When nothing runs or is queued, runs `task` on the caller's thread and returns true; tasks submitted meanwhile wait
  // for it. Otherwise runs nothing and returns false. Saves two thread switches where the caller would wait anyway.
  bool run_inline_if_idle(FunctionRef<void()> task);

  // Returns when nothing runs or is queued; the finished tasks' captures are gone by then. Throws InternalError when
  // called by a task.
  void wait_idle();

  // Tasks report their own errors. One that throws all the same, inline or not, stops nothing: the first such exception
  // is kept and handed out, once, here.
  std::exception_ptr take_error();

 private:
  void work();
  void run_guarded(FunctionRef<void()> task);
  bool idle() const { return queue_.empty() && !busy_; }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false;  // a task is running, here or inline
  bool stop_ = false;
  std::thread::id runner_;  // of the running task
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace lazuli
