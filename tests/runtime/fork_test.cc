// SPDX-License-Identifier: MIT
// A process that forks while it has sessions: the child gets errors and can end, the parent goes on.
#include <gtest/gtest.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

namespace lazuli {
namespace {

using test::error_of;

// Runs `child` in a child process, which then leaves as main does. Its status: 0, unless `child` returns false; a child
// that hangs is ended by a signal.
int status_of_child(const std::function<bool()>& child) {
  const pid_t process = fork();
  if (process == 0) {
    alarm(60);
    std::exit(child() ? 0 : 1);
  }
  int status = -1;
  waitpid(process, &status, 0);
  return status;
}

bool says_fork(const std::function<void()>& call) {
  const std::string error = error_of(call);
  return error.find("before fork()") != std::string::npos && error.find('\n') == std::string::npos;
}

SessionOptions with_threads(int threads) {
  SessionOptions options;
  options.threads = threads;
  return options;
}

// Large enough to be divided over threads.
Array large() { return full({512, 512}, 2) + 0.0; }

class Fork : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, Fork, testing::Values(1, 2));

TEST_P(Fork, TheChildGetsErrorsAndTheParentGoesOn) {
  Session session(with_threads(GetParam()));
  const CompiledFunction twice = compile([](const std::vector<Array>& a) { return std::vector{a[0] * 2.0}; });
  const Array x = large();
  session.eval(x);
  twice(x)[0].data<float>();
  EXPECT_EQ(status_of_child([&] {
              return says_fork([&] { session.eval(x + 1.0); }) && says_fork([&] { eval(x + 1.0); }) &&
                     says_fork([&] { session.async_eval(x + 1.0); }) && says_fork([&] { (x * 3.0).data<float>(); }) &&
                     says_fork([&] { twice(x); }) && says_fork([&] { session.statistics(); }) &&
                     says_fork([&] { session.plan({x + 1.0}); }) && says_fork([&] { session.clear(); }) &&
                     x.data<float>()[7] == 2 && session.threads() == GetParam();
            }),
            0);
  EXPECT_EQ(twice(x)[0].data<float>()[5], 4);
}

TEST_P(Fork, TheChildEndsSessionsWithWorkInFlight) {
  auto session = std::make_unique<Session>(with_threads(GetParam()));
  Array y = large();
  for (int i = 0; i < 200; ++i) y = tanh(sin(y) + matmul(y, y) * 1e-3);
  session->async_eval(y, Stream{1});
  session->async_eval(large(), Stream{2});
  const auto child = [&] {
    // Where the result was there by then, it can be read.
    const std::string error = error_of([&] { y.data<float>(); });
    session->synchronize();
    session.reset();
    return error == "no error" || error.find("before fork()") != std::string::npos;
  };
  EXPECT_EQ(status_of_child(child), 0);
  EXPECT_EQ(y.type().elements(), static_cast<std::int64_t>(y.data<float>().size()));
}

TEST_P(Fork, TheChildReadsResultsThatWereThere) {
  auto session = std::make_unique<Session>(with_threads(GetParam()));
  const Array y = tanh(large());
  session->async_eval(y, Stream{1});
  session->synchronize();
  const auto child = [&] {
    const bool readable = error_of([&] { y.data<float>(); }) == "no error";
    session->synchronize();
    session.reset();
    return readable;
  };
  EXPECT_EQ(status_of_child(child), 0);
}

TEST_P(Fork, TheChildMayMakeASessionOfItsOwn) {
  Session session(with_threads(GetParam()));
  const Array x = large();
  session.eval(x);
  EXPECT_EQ(status_of_child([&] {
              Session own(with_threads(GetParam()));
              return sum(x, {0, 1}).item<float>() == 2 * 512 * 512;
            }),
            0);
  EXPECT_EQ(sum(x, {0, 1}).item<float>(), 2 * 512 * 512);
}

TEST_P(Fork, ThreadsOfTheCallersOwnAreRefused) {
  auto pool = std::make_unique<ThreadPool>(GetParam());
  pool->run_on_all([](int) {});
  EXPECT_EQ(status_of_child([&] {
              const bool refused = says_fork([&] { pool->run_on_all([](int) {}); });
              pool.reset();
              return refused;
            }),
            0);
  pool->run_on_all([](int) {});
}

}  // namespace
}  // namespace lazuli
