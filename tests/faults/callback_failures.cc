// SPDX-License-Identifier: MIT
// A kernel of the caller's own and each of its callbacks throws at its n-th call; runs are cancelled at every step.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/run_observer.h>
#include <lazuli/graph/buffer.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/generation/conversation.h>
#include <lazuli/tests/faults/points.h>
#include <lazuli/tests/faults/work.h>
#include <lazuli/tests/support/custom_ops.h>
#include <lazuli/tests/support/golden_model.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stop_token>
#include <thread>

namespace lazuli::test {
namespace {

// Throws at the n-th call; counts them.
class Thrower {
 public:
  void operator()() {
    if (++calls == at) throw Error("the caller's own failure");
  }
  std::atomic<std::int64_t> calls{0}, at{0};
};

class ThrowingAllocator final : public Allocator {
 public:
  explicit ThrowingAllocator(Thrower& thrower) : thrower_(thrower) {}
  ~ThrowingAllocator() override { EXPECT_EQ(out, 0); }
  void* allocate(std::size_t bytes, std::size_t alignment) override {
    thrower_();
    ++out;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  void deallocate(void* memory, std::size_t, std::size_t) noexcept override {
    --out;
    std::free(memory);
  }
  std::atomic<int> out{0};

 private:
  Thrower& thrower_;
};

class ThrowingExecutor final : public Executor {
 public:
  ThrowingExecutor(Thrower& thrower, int threads) : Executor(threads), thrower_(thrower) {}

 private:
  void dispatch(FunctionRef<void(int)> body) override {
    thrower_();  // nothing was started
    std::vector<std::jthread> others;
    for (int worker = 1; worker < size(); ++worker) others.emplace_back([body, worker] { body(worker); });
    body(0);
  }
  Thrower& thrower_;
};

class ThrowingObserver final : public RunObserver {
 public:
  explicit ThrowingObserver(Thrower& thrower) : thrower_(thrower) {}
  void begin(int) override { thrower_(); }
  void end() noexcept override {}
  void on_span(int, const RunSpan&) override { thrower_(); }
  void on_part(int, int, int, std::int64_t) override { thrower_(); }

 private:
  Thrower& thrower_;
};

// `begin` makes a session whose callbacks call the thrower.
void expect_session_survives(const std::string& name, const std::function<void(SessionOptions&, Thrower&)>& install,
                             bool is_dropped = false) {
  Bits expected;
  {
    Session plain(with_threads(2));
    expected = run_small_graph(plain);
  }
  Thrower thrower;
  std::int64_t calls = 0, tried = 0;
  for (std::int64_t point = 0; point == 0 || point <= calls; ++point) {
    set_current_point(name, point);
    SessionOptions options = with_threads(2);
    install(options, thrower);
    Session session(options);
    thrower.calls = 0;
    thrower.at = point;
    Bits bits;
    const std::string error = error_under_fault([&] { bits = run_small_graph(session); });
    if (point == 0) calls = thrower.calls;
    EXPECT_EQ(error.empty(), point == 0 || is_dropped) << current_point() << ": " << error;
    if (!error.empty()) {
      EXPECT_NE(error.find("the caller's own failure"), std::string::npos) << current_point() << ": " << error;
    } else {
      EXPECT_EQ(bits, expected) << current_point();
    }
    thrower.at = 0;
    EXPECT_EQ(run_small_graph(session), expected) << current_point() << ", after: " << error;
    ++tried;
  }
  EXPECT_GT(calls, 0) << name;
  report_points("throwing " + name, tried - 1, calls);
}

TEST(CallbackFailures, OfASession) {
  expect_session_survives("on_pass", [](SessionOptions& options, Thrower& thrower) {
    options.on_pass = [&](const PassReport&) { thrower(); };
  });
  expect_session_survives("on_verdict", [](SessionOptions& options, Thrower& thrower) {
    options.on_verdict = [&](const Verdict&) { thrower(); };
  });
  expect_session_survives("on_weight", [](SessionOptions& options, Thrower& thrower) {
    options.on_weight = [&](const std::string&, std::int64_t) { thrower(); };
  });
  expect_session_survives(
      "on_log",
      [](SessionOptions& options, Thrower& thrower) {
        options.on_log = [&](LogLevel, std::string_view) { thrower(); };
      },
      /*is_dropped=*/true);
}

TEST(CallbackFailures, OfAnAllocator) {
  expect_session_survives("allocator", [](SessionOptions& options, Thrower& thrower) {
    options.allocator = std::make_shared<ThrowingAllocator>(thrower);
  });
}

TEST(CallbackFailures, OfAThreadPool) {
  std::unique_ptr<ThrowingExecutor> executor;
  expect_session_survives("executor", [&](SessionOptions& options, Thrower& thrower) {
    if (!executor) executor = std::make_unique<ThrowingExecutor>(thrower, 2);
    options.executor = executor.get();
  });
}

CompiledFunction small_chain() {
  return compile([](const std::vector<Array>& x) {
    Array y = x[0];
    for (int i = 0; i < 4; ++i) y = matmul(tanh(y), x[0]) * 0.5;
    return std::vector{y};
  });
}

TEST(CallbackFailures, OfAnObserver) {
  Session session(with_threads(2));
  const CompiledFunction function = small_chain();
  const Array x = full({160, 160}, 0.01f) + 0.0;
  const Bits expected = bits_of(session.call(function, {x})[0]);
  const auto program = function.executable({x});
  Thrower thrower;
  session.observe(program, std::make_shared<ThrowingObserver>(thrower));
  EXPECT_EQ(bits_of(session.call(function, {x})[0]), expected);
  const std::int64_t calls = thrower.calls;
  ASSERT_GT(calls, 3);
  for (std::int64_t point = 1; point <= calls; ++point) {
    set_current_point("observer", point);
    thrower.calls = 0;
    thrower.at = point;
    const std::string error = error_under_fault([&] { bits_of(session.call(function, {x})[0]); });
    EXPECT_NE(error.find("the caller's own failure"), std::string::npos) << error;
    thrower.at = 0;
    EXPECT_EQ(bits_of(session.call(function, {x})[0]), expected) << point;
  }
  report_points("throwing observer", calls, calls);
}

// On several threads: the others leave at their barrier.
TEST(CallbackFailures, OfAKernel) {
  Thrower thrower;
  const auto op = std::make_shared<OwnOp>();
  op->rule = RowRule::aligned;
  op->kernel = [&](const CustomRows& rows) {
    thrower();
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      std::ranges::copy(rows.operand_row<float>(0, row), rows.result_row<float>(0, row).begin());
  };
  std::int64_t tried = 0;
  for (const int threads : {1, 3}) {
    Session session(with_threads(threads));
    const CompiledFunction function = compile([&](const std::vector<Array>& x) {
      const Scope scope("mine");
      return std::vector{matmul(custom(op, {tanh(custom(op, {x[0]}) + 1.0)}), x[0])};
    });
    const Array x = full({256, 256}, 0.01f) + 0.0;
    thrower.at = 0;
    thrower.calls = 0;
    const Bits expected = bits_of(session.call(function, {x})[0]);
    const std::int64_t calls = thrower.calls;
    for (std::int64_t point = 1; point <= calls; ++point) {
      set_current_point("kernel", point);
      thrower.calls = 0;
      thrower.at = point;
      const std::string error = error_under_fault([&] { bits_of(session.call(function, {x})[0]); });
      for (const char* part : {"own", "(in mine)", "the caller's own failure"})
        EXPECT_NE(error.find(part), std::string::npos) << error;
      thrower.at = 0;
      EXPECT_EQ(bits_of(session.call(function, {x})[0]), expected) << point;
      ++tried;
    }
  }
  report_points("throwing kernel", tried, tried);
}

class ChatFailures : public testing::Test {
 protected:
  Conversation begin() const {
    RunnerOptions runner;
    runner.chunk = 4;
    Conversation conversation(*model_, runner);
    conversation.append(std::vector<std::int32_t>{2, 5, 7, 11, 13, 17});
    return conversation;
  }
  static GenerateOptions tokens(std::int64_t count) {
    GenerateOptions options;
    options.max_tokens = count;
    return options;
  }

  Session session_{with_threads(2)};
  std::unique_ptr<LanguageModel> model_ = load_model(golden_model_path(tiny_checkpoint));
  const std::int64_t count_ = 8;
};

TEST_F(ChatFailures, TokenAndPrefillCallbacksThrow) {
  Conversation whole = begin();
  const std::vector<std::int32_t> expected = whole.generate(tokens(count_)).ids;
  std::int64_t tried = 0;
  for (const bool of_prefill : {false, true})
    for (std::int64_t point = 1; point <= (of_prefill ? 2 : count_); ++point) {
      set_current_point(of_prefill ? "on_prefill" : "on_token", point);
      Thrower thrower;
      thrower.at = point;
      Conversation conversation = begin();
      GenerateOptions options = tokens(count_);
      if (of_prefill)
        options.on_prefill = [&](std::int64_t, std::int64_t) {
          thrower();
          return true;
        };
      else
        options.on_token = [&](std::int32_t, const std::string&) {
          thrower();
          return true;
        };
      EXPECT_STREQ(error_under_fault([&] { conversation.generate(options); }), "the caller's own failure");
      EXPECT_EQ(conversation.ids().size(), 6u);
      EXPECT_EQ(conversation.generate(tokens(count_)).ids, expected) << current_point();
      ++tried;
    }
  report_points("throwing callbacks of generate", tried, tried);
}

TEST_F(ChatFailures, CancelledAtEveryStep) {
  Conversation whole = begin();
  const std::vector<std::int32_t> expected = whole.generate(tokens(count_)).ids;
  for (std::int64_t step = 1; step <= count_; ++step) {
    Conversation conversation = begin();
    std::atomic<bool> cancel{false};
    GenerateOptions options = tokens(count_);
    options.cancel = &cancel;
    std::int64_t seen = 0;
    options.on_token = [&](std::int32_t, const std::string&) {
      if (++seen == step) cancel = true;
      return true;
    };
    std::vector<std::int32_t> ids = conversation.generate(options).ids;
    EXPECT_EQ(static_cast<std::int64_t>(ids.size()), step);
    for (const std::int32_t id : conversation.generate(tokens(count_ - step)).ids) ids.push_back(id);
    EXPECT_EQ(ids, expected) << step;
  }
  report_points("cancelled steps of generate", count_, count_);
}

// The limits of a thread end runs themselves: the caches are lost with a run, and made anew.
TEST_F(ChatFailures, RunsThatAreEndedLoseNoText) {
  Conversation whole = begin();
  const std::vector<std::int32_t> expected = whole.generate(tokens(count_)).ids;
  std::int64_t tried = 0;
  for (const bool by_deadline : {false, true})
    for (std::int64_t step = 0; step < count_; ++step) {
      set_current_point(by_deadline ? "a deadline of a run" : "a cancelled run", step);
      Conversation conversation = begin();
      std::stop_source stop;
      if (step == 0 && !by_deadline) stop.request_stop();
      std::string error;
      {
        const auto now = std::chrono::steady_clock::now();
        const LimitRuns limits(by_deadline ? RunLimits{.deadline = now + std::chrono::microseconds(100 * step)}
                                           : RunLimits{.stop = stop.get_token()});
        GenerateOptions options = tokens(count_);
        std::int64_t seen = 0;
        options.on_token = [&](std::int32_t, const std::string&) {
          if (++seen == step) stop.request_stop();
          return true;
        };
        error = error_under_fault([&] { conversation.generate(options); });
      }
      if (error.empty()) continue;  // it was through by then
      EXPECT_EQ(conversation.ids().size(), 6u);
      EXPECT_EQ(conversation.generate(tokens(count_)).ids, expected) << current_point() << ", after: " << error;
      ++tried;
    }
  EXPECT_GT(tried, 0);
  report_points("ended runs of generate", tried, 2 * count_);
}

}  // namespace
}  // namespace lazuli::test
