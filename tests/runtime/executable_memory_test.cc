// SPDX-License-Identifier: MIT
// A host that lets no memory that was written be executed.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace lazuli {
namespace {

// Linux 6.3; headers may be older.
constexpr int set_mdwe = 65, refuse_exec_gain = 1;
constexpr int no_such_call = 77;

Array loops() { return sum(tanh(exp(full({64, 64}, 0.5f) + 1.0) * 0.25), {1}); }

bool is_refused(bool disk_cache) {
  SessionOptions options;
  options.disk_cache = disk_cache;
  Session session(options);
  const std::string error = test::error_of([&] { session.eval(loops()); });
  return error.find("generated code is not allowed here") != std::string::npos && error.find('\n') == std::string::npos;
}

bool reference_runs() {
  SessionOptions options;
  options.backend = "reference";
  Session session(options);
  return loops().data<float>()[0] > 0;
}

TEST(ExecutableMemory, WhereNoneIsAllowedIsAnError) {
  {
    Session session;  // kernels are on disk by now
    session.eval(loops());
  }
  const pid_t process = fork();
  if (process == 0) {
    if (prctl(set_mdwe, refuse_exec_gain, 0, 0, 0) != 0) _exit(no_such_call);
    testing::internal::CaptureStderr();
    const bool right = is_refused(false) && is_refused(true) && reference_runs();
    _exit(right && testing::internal::GetCapturedStderr().empty() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(process, &status, 0), process);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == no_such_call) GTEST_SKIP() << "the kernel cannot forbid it (PR_SET_MDWE, Linux 6.3)";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace lazuli
