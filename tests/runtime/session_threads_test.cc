// SPDX-License-Identifier: MIT
// One session, its arrays and its compiled functions used by many threads at once.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace lazuli {
namespace {

constexpr int threads = 4, rounds = 20;

// Calls body(thread) on all threads, which begin together.
void on_threads(const std::function<void(int)>& body) {
  std::barrier begin(threads);
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread)
    running.emplace_back([&, thread] {
      begin.arrive_and_wait();
      body(thread);
    });
  for (std::thread& thread : running) thread.join();
}

SessionOptions two_threads() {
  SessionOptions options;
  options.threads = 2;
  return options;
}

TEST(SessionThreads, EvaluateGraphsOfTheirOwn) {
  Session session(two_threads());
  on_threads([&](int thread) {
    for (int round = 0; round < rounds; ++round) {
      const Array x = full({8 + thread, 16}, static_cast<float>(round)) + 1.0;
      const Array y = sum(x * x, {0, 1});
      session.eval(y);
      EXPECT_EQ(y.item<float>(), static_cast<float>((8 + thread) * 16 * (round + 1) * (round + 1)));
    }
  });
}

TEST(SessionThreads, EvaluateAndReadTheSameArrays) {
  Session session(two_threads());
  for (int round = 0; round < rounds; ++round) {
    const Array x = full({64, 64}, static_cast<float>(round)) + 1.0;
    const Array y = x * 2.0, z = x + y;
    on_threads([&](int thread) {
      const UseSession use(session);
      if (thread % 2 == 0) eval({y, z});
      EXPECT_EQ(z.data<float>()[5], static_cast<float>(3 * (round + 1)));
      EXPECT_EQ(y.data<float>()[5], static_cast<float>(2 * (round + 1)));
    });
  }
}

// The state's last handle lies in a reader that all threads ask for: one of them may take its memory over.
TEST(SessionThreads, AskForOneUpdateOfAnUnreachableState) {
  Session session(two_threads());
  for (int round = 0; round < rounds; ++round) {
    Array state = full({4, 2}, 1) + 0.0;
    session.eval(state);
    const Array updated = slice_update(state, Array::from({7.0f, 8.0f}, {1, 2}), 3, 0);
    const Array total = sum(updated, {0, 1});
    state = Array();
    on_threads([&](int thread) {
      const UseSession use(session);
      if (thread % 2 == 0) eval(updated);
      EXPECT_EQ(total.item<float>(), 21);
      EXPECT_EQ(updated.data<float>()[6], 7);
    });
  }
}

TEST(SessionThreads, HandArraysOn) {
  Session session(two_threads());
  Array built;
  std::thread([&] { built = full({100}, 2) * full({100}, 3); }).join();
  std::thread([&] { session.async_eval(built); }).join();
  std::thread([&] { EXPECT_EQ(built.data<float>()[99], 6); }).join();
}

TEST(SessionThreads, CallOneFunction) {
  Session session(two_threads());
  std::atomic<int> traced = 0;
  const CompiledFunction function = compile([&](const std::vector<Array>& x) {
    ++traced;
    return std::vector<Array>{x[0] * x[1], sum(x[0], {0})};
  });
  on_threads([&](int thread) {
    for (int round = 0; round < rounds; ++round) {
      const std::int64_t size = 16 + round % 3;
      const auto value = static_cast<float>(thread + 1);
      const auto results = session.call(function, {full({size}, value) + 0.0, full({size}, 2) + 0.0});
      EXPECT_EQ(results[0].data<float>()[15], 2 * value);
      EXPECT_EQ(results[1].item<float>(), value * static_cast<float>(size));
    }
  });
  EXPECT_EQ(traced, 3);
  EXPECT_EQ(function.signatures(), 3);
}

TEST(SessionThreads, CarryStatesOfTheirOwn) {
  Session session(two_threads());
  CompileOptions options;
  options.donate = {0};
  const CompiledFunction add = compile([](const std::vector<Array>& x) { return std::vector{x[0] + x[1]}; }, options);
  on_threads([&](int thread) {
    const UseSession use(session);
    std::vector<Array> arguments{full({32}, 0) + 0.0, full({32}, static_cast<float>(thread + 1)) + 0.0};
    for (int round = 0; round < rounds; ++round) {
      Array next = add(std::move(arguments[0]), arguments[1])[0];
      arguments[0] = std::move(next);
    }
    EXPECT_EQ(arguments[0].data<float>()[31], static_cast<float>(rounds * (thread + 1)));
  });
}

TEST(SessionThreads, CallOneFunctionOnSessionsOfTheirOwn) {
  const CompiledFunction function = compile([](const std::vector<Array>& x) { return std::vector{x[0] * 3.0}; });
  on_threads([&](int thread) {
    for (int round = 0; round < 3; ++round) {
      const Session session(two_threads());
      EXPECT_EQ(function({full({16}, static_cast<float>(thread)) + 0.0})[0].data<float>()[7],
                static_cast<float>(3 * thread));
    }
  });
}

// Runs of sessions that share threads take turns, and so do weights that are laid out.
TEST(SessionThreads, SessionsShareAnExecutor) {
  ThreadPool pool(2);
  on_threads([&](int thread) {
    SessionOptions options;
    options.executor = &pool;
    Session session(options);
    for (int round = 0; round < rounds; ++round) {
      const auto value = static_cast<float>(thread + 1);
      const Array x = full({512, 512}, value) + static_cast<double>(round);
      const Array w = constant(full({64, 512}, 1) + 0.0);
      const Array y = mean(linear(x, w), {0, 1});
      session.eval(x);
      EXPECT_EQ(x.data<float>()[511], value + static_cast<float>(round));
      EXPECT_FLOAT_EQ(y.item<float>(), (value + static_cast<float>(round)) * 512);
    }
  });
}

// Threads lose their session in the middle of their work.
TEST(SessionThreads, ASessionEndsWhileOthersUseIt) {
  for (int round = 0; round < 5; ++round) {
    auto session = std::make_unique<Session>(two_threads());
    const std::shared_ptr<Evaluator> evaluator = session->evaluator();
    on_threads([&](int thread) {
      if (thread == 0) {
        session.reset();
        return;
      }
      const UseEvaluator use(evaluator);
      for (int i = 0; i < 5; ++i) EXPECT_EQ((full({16}, 2) * full({16}, 4)).data<float>()[0], 8);
    });
  }
}

}  // namespace
}  // namespace lazuli
