// SPDX-License-Identifier: MIT
// Many sessions, streams and threads at once: sessions are made, used and destroyed while others run, and arrays go
// from one to the other. What it finds it finds under ThreadSanitizer (tests/sanitized.cmake).
#include <gtest/gtest.h>
#include <lazuli/backends/run_observer.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace lazuli {
namespace {

constexpr int threads = 4, rounds = 12;

void on_threads(const std::function<void(int)>& body) {
  std::barrier begin(threads);
  std::vector<std::jthread> running;
  for (int thread = 0; thread < threads; ++thread)
    running.emplace_back([&, thread] {
      begin.arrive_and_wait();
      body(thread);
    });
}

SessionOptions with_threads(int count) {
  SessionOptions options;
  options.threads = count;
  return options;
}

// Tables that are made once, by code that is not checked under ThreadSanitizer, which would not see who made them.
class SessionStress : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    Session session(with_threads(2));
    const Array x = full({64, 64}, 0.5f) + 1.0;
    session.eval({tanh(matmul(x, x) * 0.01) + x, x * 2.0 - x});
  }
};

// All elements of an array are one number, so that whoever gets it can check it.
struct Marked {
  Array array;
  float value;
};

Marked next_of(const Marked& from) { return {from.array * 0.5 + 1.0, from.value * 0.5f + 1.0f}; }

void expect_whole(const Marked& marked) {
  const auto data = marked.array.data<float>();
  EXPECT_EQ(data.front(), marked.value);
  EXPECT_EQ(data.back(), marked.value);
}

// What threads hand each other.
class Exchange {
 public:
  std::optional<Marked> swap(std::optional<Marked> given, int slot) {
    const std::lock_guard lock(mutex_);
    return std::exchange(slots_[static_cast<std::size_t>(slot)], std::move(given));
  }

 private:
  std::mutex mutex_;
  std::optional<Marked> slots_[3];
};

// Arrays are begun in one session, and read in another when the first one may be gone.
TEST_F(SessionStress, SessionsComeAndGoAndArraysCross) {
  Exchange exchange;
  const CompiledFunction shared = compile([](const std::vector<Array>& x) { return std::vector{x[0] * 2.0 - x[0]}; });
  on_threads([&](int thread) {
    Marked mine{full({64, 64}, static_cast<float>(thread)) + 0.0, static_cast<float>(thread)};
    for (int round = 0; round < rounds; ++round) {
      Session session(with_threads(1 + (thread + round) % 3));
      for (int step = 0; step < 4; ++step) {
        mine = next_of(mine);
        session.async_eval(mine.array, Stream{step % 3});
        if (std::optional<Marked> other = exchange.swap(mine, (thread + step) % 3)) {
          const Marked next = next_of(*other);
          expect_whole({session.call(shared, {next.array}, Stream{step % 2})[0], next.value});
          if (step % 2 == 0) mine = std::move(*other);
        }
      }
      // Its runs may still be going on.
    }
    const Session last(with_threads(1));
    expect_whole(mine);
  });
}

TEST_F(SessionStress, ASessionEndsWhileThreadsUseIt) {
  for (int round = 0; round < rounds; ++round) {
    auto session = std::make_optional<Session>(with_threads(2));
    std::barrier begin(threads + 1);
    std::vector<std::jthread> running;
    for (int thread = 0; thread < threads; ++thread)
      running.emplace_back([&, thread, use = std::make_shared<std::shared_ptr<Evaluator>>(session->evaluator())] {
        const UseEvaluator current(*use);
        begin.arrive_and_wait();
        for (int step = 0; step < 5; ++step) {
          Array x = full({48 + step, 64}, static_cast<float>(thread)) + 1.0;
          async_eval(x, Stream{thread});
          expect_whole({x + 1.0, static_cast<float>(thread + 2)});
        }
      });
    begin.arrive_and_wait();
    session.reset();
  }
}

// Everything that may be asked of one session, by all at once, some of it ended by others.
TEST_F(SessionStress, AllCallsOfOneSession) {
  Session session(with_threads(2));
  const CompiledFunction function =
      compile([](const std::vector<Array>& x) { return std::vector{tanh(matmul(x[0], x[0]) * 0.01) + x[0]}; });
  const Array x = full({96, 96}, 0.5f) + 0.0;
  session.eval(x);
  const float expected = session.call(function, {x})[0].data<float>()[7];
  std::atomic<int> ended = 0;
  on_threads([&](int thread) {
    const UseSession use(session);
    for (int round = 0; round < rounds; ++round) {
      switch ((thread + round) % 4) {
        case 0:
          EXPECT_EQ(session.call(function, {x}, Stream{thread})[0].data<float>()[7], expected);
          break;
        case 1: {
          std::stop_source source;
          const Array y = session.call(function, {x}, Stream{thread}, {.stop = source.get_token()})[0];
          std::jthread stopper([&] { source.request_stop(); });
          ended += test::error_of([&] { wait(y); }) != "no error";
          break;
        }
        case 2: {
          const auto program = function.executable({x});
          session.observe(program, round % 2 == 0 ? std::make_shared<RunRecorder>() : nullptr);
          EXPECT_GE(session.statistics().programs + static_cast<std::int64_t>(session.programs().size()), 0);
          break;
        }
        default:
          session.clear();
          session.synchronize();
      }
    }
  });
  EXPECT_LE(ended, threads * rounds);
  EXPECT_EQ(session.call(function, {x})[0].data<float>()[7], expected);
}

}  // namespace
}  // namespace lazuli
