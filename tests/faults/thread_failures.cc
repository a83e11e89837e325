// SPDX-License-Identifier: MIT
// The n-th thread cannot be started.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/synth/synth.h>
#include <lazuli/tests/faults/points.h>
#include <lazuli/tests/faults/system_calls.h>
#include <lazuli/tests/faults/work.h>

#include <cerrno>
#include <filesystem>
#include <thread>

namespace lazuli::test {
namespace {

// Work on several threads and several streams; results of one stream are read by another, in memory that is given up.
Bits on_streams(Session& session) {
  Bits bits = run_small_graph(session);
  Array state = full({256, 256}, 0.5f) + 0.0;
  for (int round = 0; round < 3; ++round) {
    state = tanh(matmul(state, state) * 0.01) + 0.5;
    session.async_eval(state, Stream{round});
  }
  const Bits own = bits_of(state);
  bits.insert(bits.end(), own.begin(), own.end());
  return bits;
}

TEST(ThreadFailures, AreErrorsAndTheSessionGoesOn) {
  constexpr int threads = 4;
  Bits expected;
  std::int64_t started = 0;
  {
    const FailingCalls counting(Call::pthread_create, 0, 0);
    Session session(with_threads(threads));
    expected = on_streams(session);
    started = counting.made();
  }
  ASSERT_GE(started, threads - 1);
  std::int64_t tried = 0;
  for (const bool behind : {false, true})
    for (std::int64_t point = 1; point <= started; ++point) {
      set_current_point(behind ? "threads, from then on" : "threads, once", point);
      Session session(with_threads(threads));
      std::string error;
      {
        const FailingCalls fault(Call::pthread_create, point, EAGAIN, behind);
        error = error_under_fault([&] { on_streams(session); });
      }
      EXPECT_NE(error.find("cannot start"), std::string::npos) << current_point() << ": " << error;
      EXPECT_EQ(on_streams(session), expected) << current_point();
      ++tried;
    }
  report_points("refused threads", tried, 2 * started);
}

// A thread that is refused while others wait for what its stream was to compute.
TEST(ThreadFailures, LeaveNobodyWaiting) {
  Session session(with_threads(2));
  const Array x = full({64, 64}, 1) + 0.0;
  session.eval(x);
  const auto round = [&](int stream) {
    Array y = x * 2.0;
    session.async_eval(y, Stream{stream});
    return error_under_fault([&] { bits_of(y + 1.0); });
  };
  const FailingCalls fault(Call::pthread_create, 1, EAGAIN, true);
  for (int stream = 1; stream < 8; ++stream) {
    const std::string error = error_under_fault([&] { round(stream); });
    EXPECT_NE(error.find("cannot start"), std::string::npos) << error;
    EXPECT_EQ(bits_of(x)[0], 0x3f800000u);
  }
}

// Whoever can do without takes longer.
TEST(ThreadFailures, ACheckpointIsWrittenWithFewer) {
  const std::string file = std::string(std::getenv("XDG_CACHE_HOME")) + "/few.gguf";
  auto plan = synth::plan_gguf(synth::shortened(synth::find_architecture("gemma3-270m"), 1), synth::Quantisation::q4_0);
  std::erase_if(plan.tensors, [](const auto& placed) { return element_count(placed.tensor.shape) > 2000; });
  const FailingCalls fault(Call::pthread_create, 2, EAGAIN, true);
  synth::write_file(plan, file, 1, 4, [](std::int64_t) {});
  EXPECT_EQ(std::filesystem::file_size(file), static_cast<std::uintmax_t>(plan.bytes));
}

}  // namespace
}  // namespace lazuli::test
