// SPDX-License-Identifier: MIT
// Runs that end early: what their readers get, and that nobody else notices.
#include <gtest/gtest.h>
#include <lazuli/backends/run_observer.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>
#include <vector>

namespace lazuli {
namespace {

using test::caught;
using Clock = std::chrono::steady_clock;

RunLimits cancelled() {
  std::stop_source source;
  source.request_stop();
  return {.stop = source.get_token()};
}
RunLimits late() { return {.deadline = Clock::now() - std::chrono::seconds(1)}; }
RunLimits generous() {
  return {.stop = std::stop_source().get_token(), .deadline = Clock::now() + std::chrono::hours(1)};
}

SessionOptions two_threads() {
  SessionOptions options;
  options.threads = 2;
  return options;
}

// Several steps, some of which all workers share.
Array chain(const Array& x) {
  const Scope scope("chain");
  Array y = x;
  for (int i = 0; i < 4; ++i) y = matmul(y, x) * 0.5;
  return y;
}
Array seed(float value = 0.01f) { return full({160, 160}, value) + 0.0; }

std::vector<float> floats(const Array& array) {
  const auto data = array.data<float>();
  return {data.begin(), data.end()};
}

ErrorKind kind_of(const Array& array) {
  const auto error = caught<ExecutionError>([&] { wait(array); });
  return error ? error->kind() : ErrorKind::internal;
}

TEST(RunLimits, EndARunWithTheirKind) {
  for (const char* backend : {"cpu", "reference"}) {
    SessionOptions options;
    options.backend = backend;
    Session session(options);
    const Array x = chain(full({8, 8}, 1) + 0.0), y = chain(full({8, 8}, 2) + 0.0);
    const auto error = caught<ExecutionError>([&] { session.eval(x, cancelled()); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), ErrorKind::cancelled);
    EXPECT_EQ(error->details().op.empty(), false);
    EXPECT_NE(std::string(error->what()).find("the run was cancelled"), std::string::npos) << error->what();
    EXPECT_EQ(caught<ExecutionError>([&] { session.eval(y, late()); })->kind(), ErrorKind::deadline);
    for (int time = 0; time < 2; ++time) EXPECT_EQ(kind_of(x), ErrorKind::cancelled);
  }
}

TEST(RunLimits, ThatAreNotReachedChangeNothing) {
  Session session(two_threads());
  const Array x = seed();
  session.eval(x);
  const Array plain = chain(x), limited = chain(x);
  session.eval(plain);
  session.eval(limited, generous());
  EXPECT_EQ(floats(plain), floats(limited));
}

// Requests the stop when worker 0 is through with a step.
class StopAfter final : public RunObserver {
 public:
  StopAfter(std::stop_source source, int step) : source_(std::move(source)), step_(step) {}
  void begin(int) override {}
  void end() noexcept override {}
  void on_span(int worker, const RunSpan& span) override {
    if (worker == 0 && span.step >= 0) last_ = span.step;
    if (worker == 0 && span.step == step_) source_.request_stop();
  }
  int last() const { return last_; }

 private:
  std::stop_source source_;
  int step_, last_ = -1;
};

TEST(RunLimits, AreLookedAtBetweenSteps) {
  Session session(two_threads());
  const CompiledFunction function = compile([](const std::vector<Array>& x) { return std::vector{chain(x[0])}; });
  const Array x = seed();
  const std::vector<float> expected = floats(function({x})[0]);
  const auto program = function.executable({x});
  const auto steps = static_cast<int>(std::static_pointer_cast<CompiledGraph>(program)->program->steps().size());
  ASSERT_GT(steps, 2);
  for (int step = 0; step + 1 < steps; ++step) {
    std::stop_source source;
    const auto observer = std::make_shared<StopAfter>(source, step);
    session.observe(program, observer);
    const Array y = session.call(function, {x}, {}, {.stop = source.get_token()})[0];
    EXPECT_EQ(kind_of(y), ErrorKind::cancelled);
    EXPECT_EQ(observer->last(), step);
    session.observe(program, nullptr);
    EXPECT_EQ(floats(function({x})[0]), expected);
  }
}

TEST(RunLimits, EndWhatReadsTheResultsToo) {
  Session session;
  const Array x = chain(seed()), y = x + 1.0;
  {
    const LimitRuns limit(cancelled());
    async_eval(x);
  }
  async_eval(y, {1});
  EXPECT_EQ(kind_of(y), ErrorKind::cancelled);
  EXPECT_EQ((seed(2) + 1.0).data<float>()[0], 3);
}

TEST(RunLimits, OfAThreadAreThoseOfItsInnermostObject) {
  Session session;
  EXPECT_EQ(LimitRuns::current(), nullptr);
  const LimitRuns outer(cancelled());
  {
    const LimitRuns inner(generous());
    EXPECT_EQ((seed(2) + 1.0).data<float>()[0], 3);
    std::thread([&] {
      const UseSession use(session);
      EXPECT_EQ((seed(3) + 1.0).data<float>()[0], 4);
    }).join();
  }
  EXPECT_EQ(caught([&] { (seed(4) + 1.0).data<float>(); })->kind(), ErrorKind::cancelled);
  const Array x = seed(5);
  session.eval(x, generous());  // those of the call count
  EXPECT_EQ(x.data<float>()[0], 5);
}

TEST(RunLimits, AStateThatIsHeldKeepsItsValue) {
  Session session;
  CompileOptions options;
  options.donate = {0};
  const CompiledFunction update = compile(
      [](const std::vector<Array>& x) { return std::vector{slice_update(x[0], x[1], Array::from({0}, {}), 0)}; },
      options);
  Array state = full({4, 2}, 1) + 0.0;
  const Array row = full({1, 2}, 7) + 0.0;
  session.eval({state, row});
  const Array held = state;
  const Array lost = session.call(update, {std::move(state), row}, {}, cancelled())[0];
  EXPECT_EQ(kind_of(lost), ErrorKind::cancelled);
  EXPECT_EQ(floats(held), std::vector<float>(8, 1));
  EXPECT_EQ(floats(session.call(update, {held, row})[0]), (std::vector<float>{7, 7, 1, 1, 1, 1, 1, 1}));
}

TEST(RunLimits, OfAGraphWithArrays) {
  Session session;
  const Graph graph = graph_of({chain(placeholder({DType::f32, {160, 160}}))});
  const Array x = seed();
  session.eval(x);
  EXPECT_EQ(kind_of(session.run(graph, {x}, {}, late())[0]), ErrorKind::deadline);
  EXPECT_FALSE(caught([&] { wait(session.run(graph, {x}, {}, generous())[0]); }));
}

// Half of the threads are stopped at any moment, by another thread; the others have their results.
TEST(RunLimits, OfOneThreadAreNoBusinessOfOthers) {
  Session session(two_threads());
  const CompiledFunction function = compile([](const std::vector<Array>& x) { return std::vector{chain(x[0])}; });
  const Array x = seed();
  session.eval(x);
  const std::vector<float> expected = floats(session.call(function, {x})[0]);
  std::atomic<int> ended = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 10; ++round) {
        if (thread % 2 == 0) {
          EXPECT_EQ(floats(session.call(function, {x}, {thread})[0]), expected);
          continue;
        }
        std::stop_source source;
        const Array y = session.call(function, {x}, {thread}, {.stop = source.get_token()})[0];
        std::jthread stopper([&] { source.request_stop(); });
        const auto error = caught<ExecutionError>([&] { wait(y); });
        if (error) {
          EXPECT_EQ(error->kind(), ErrorKind::cancelled);
          ++ended;
        } else {
          EXPECT_EQ(floats(y), expected);
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(ended, 20);
}

}  // namespace
}  // namespace lazuli
