// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/event.h>
#include <lazuli/runtime/task_queue.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace lazuli {
namespace {

std::string message_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  }
  return "";
}

TEST(Event, WaitReturnsAfterSignal) {
  Event event;
  EXPECT_FALSE(event.ready());
  EXPECT_EQ(event.error(), nullptr);
  int result = 0;
  std::thread producer([&result, event]() mutable {
    result = 7;
    event.signal();
  });
  event.wait();
  EXPECT_EQ(result, 7);
  EXPECT_TRUE(event.ready());
  event.wait();
  producer.join();
}

TEST(Event, EveryWaitThrowsTheFirstError) {
  Event event;
  event.fail(std::make_exception_ptr(ExecutionError("matmul in layers.3")));
  event.fail(std::make_exception_ptr(ExecutionError("a consequence")));
  event.signal();
  EXPECT_TRUE(event.ready());
  const Event copy = event;
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(event.wait(), ExecutionError);
    EXPECT_THROW(copy.wait(), ExecutionError);
  }
  EXPECT_EQ(message_of(event.error()), "matmul in layers.3");
}

TEST(Event, ErrorAfterSuccessIsIgnored) {
  Event event;
  event.signal();
  event.fail(std::make_exception_ptr(Error("late")));
  event.wait();
  EXPECT_EQ(event.error(), nullptr);
}

TEST(Event, ManyWaitersAndRacingFinishers) {
  for (int round = 0; round < 100; ++round) {
    Event event;
    std::atomic<int> succeeded = 0, failed = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&succeeded, &failed, event] {
        try {
          event.wait();
          ++succeeded;
        } catch (const Error&) {
          ++failed;
        }
      });
    }
    threads.emplace_back([event]() mutable { event.signal(); });
    threads.emplace_back([event]() mutable { event.fail(std::make_exception_ptr(Error("failed"))); });
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE((succeeded == 3 && failed == 0) || (succeeded == 0 && failed == 3));
  }
}

TEST(Event, WaiterMayDropTheEventAtOnce) {
  for (int round = 0; round < 200; ++round) {
    auto event = std::make_unique<Event>();
    std::thread producer([handle = *event]() mutable { handle.signal(); });
    event->wait();
    event.reset();
    producer.join();
  }
}

TEST(TaskQueue, RunsInOrderAndDrainsOnDestruction) {
  std::vector<int> order;
  {
    TaskQueue queue;
    for (int i = 0; i < 1000; ++i) queue.submit([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
}

TEST(TaskQueue, NeverUsedIsFine) {
  TaskQueue queue;
  queue.wait_idle();
  EXPECT_EQ(queue.take_error(), nullptr);
}

TEST(TaskQueue, WaitIdleSeesResultsAndReleasedCaptures) {
  TaskQueue queue;
  for (int round = 0; round < 200; ++round) {
    auto buffer = std::make_shared<int>(0);
    const std::weak_ptr<int> watch = buffer;
    int result = 0;
    queue.submit([&result, kept = std::move(buffer)] { result = ++*kept; });
    queue.wait_idle();
    EXPECT_EQ(result, 1);
    EXPECT_TRUE(watch.expired());
  }
}

TEST(TaskQueue, KeepsTheFirstErrorAndGoesOn) {
  TaskQueue queue;
  int later = 0;
  queue.submit([] { throw Error("first"); });
  queue.submit([] { throw Error("second"); });
  queue.submit([&] { later = 1; });
  queue.wait_idle();
  EXPECT_EQ(later, 1);
  EXPECT_EQ(message_of(queue.take_error()), "first");
  EXPECT_EQ(queue.take_error(), nullptr);
  EXPECT_TRUE(queue.run_inline_if_idle([] { throw Error("inline"); }));
  EXPECT_EQ(message_of(queue.take_error()), "inline");
}

TEST(TaskQueue, RunsInlineOnTheCallersThreadWhenIdle) {
  TaskQueue queue;
  std::thread::id ran_on;
  EXPECT_TRUE(queue.run_inline_if_idle([&] { ran_on = std::this_thread::get_id(); }));
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(TaskQueue, DoesNotRunInlineWhileBusy) {
  TaskQueue queue;
  std::promise<void> release;
  queue.submit([&] { release.get_future().wait(); });
  EXPECT_FALSE(queue.run_inline_if_idle([] { ADD_FAILURE(); }));
  release.set_value();
  queue.wait_idle();
  EXPECT_TRUE(queue.run_inline_if_idle([] {}));
}

TEST(TaskQueue, TasksSubmittedDuringAnInlineRunWaitForIt) {
  TaskQueue queue;
  std::vector<int> order;
  EXPECT_TRUE(queue.run_inline_if_idle([&] {
    queue.submit([&] { order.push_back(2); });
    EXPECT_FALSE(queue.run_inline_if_idle([] { ADD_FAILURE(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    order.push_back(1);
  }));
  queue.wait_idle();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(TaskQueue, TaskMayNotWaitForItself) {
  TaskQueue queue;
  queue.submit([&] { queue.wait_idle(); });
  queue.wait_idle();
  EXPECT_NE(message_of(queue.take_error()).find("its own queue"), std::string::npos);
}

TEST(TaskQueue, ManySubmittersAndInlineRunners) {
  int sum = 0;  // no atomic: the queue runs one task at a time
  {
    TaskQueue queue;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 300; ++i)
          if (!queue.run_inline_if_idle([&] { ++sum; })) queue.submit([&] { ++sum; });
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(sum, 900);
}

TEST(TaskQueue, TwoStreamsAndAnEventBetweenThem) {
  Event loaded;
  int value = 0, seen = 0;
  TaskQueue consumer, producer;
  consumer.submit([&] {
    loaded.wait();
    seen = value;
  });
  producer.submit([&] {
    value = 42;
    loaded.signal();
  });
  consumer.wait_idle();
  EXPECT_EQ(seen, 42);
}

}  // namespace
}  // namespace lazuli
