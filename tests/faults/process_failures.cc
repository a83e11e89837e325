// SPDX-License-Identifier: MIT
// Processes that are interrupted, killed and forked at any time.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/tests/faults/points.h>
#include <lazuli/tests/faults/work.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/golden_model.h>
#include <lazuli/tests/support/tool_process.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <thread>

namespace lazuli::test {
namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::microseconds;

// Times are drawn from a fixed seed, another one in each round.
std::mt19937 generator() {
  const char* round = std::getenv("LAZULI_FAULTS_ROUND");
  return std::mt19937(round != nullptr ? static_cast<unsigned>(std::atoi(round)) : 0u);
}

// The wait status; none where the process does not end in time, which is then killed.
std::optional<int> wait_for(pid_t process) {
  constexpr std::chrono::seconds deadline{60};
  const auto end = Clock::now() + deadline;
  for (int status = 0; Clock::now() < end; std::this_thread::sleep_for(std::chrono::milliseconds(1)))
    if (waitpid(process, &status, WNOHANG) == process) return status;
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
  return std::nullopt;
}

class ProcessFailures : public ToolTest {
 protected:
  struct Command {
    Arguments arguments;
    std::vector<std::string> outputs;  // files or folders that it writes; whole or not there
  };

  std::string model() const { return golden_model_path(tiny_checkpoint); }
  std::vector<Command> commands() {
    std::string many = "2";
    for (int i = 0; i < 300; ++i) many += ",5";
    write_whole(path("many"), many);
    const std::string m = model();
    return {
        {{"generate", "-m", m, "--ids", "2,5", "-n", "100", "--ignore-eos", "--save-cache", path("w0")}, {path("w0")}},
        {{"logits", "-m", m, "--ids", many, "-o", path("w1")}, {path("w1")}},
        {{"perplexity", "-m", m, "--ids-file", path("many")}, {}},
        {{"bench", "-m", m, "-p", "8", "-n", "4", "--reps", "3", "--sweep", "chunk=2,4", "--plot", path("w3")},
         {path("w3")}},
        {{"graph", "-m", m, "-o", path("w4.json")}, {path("w4.json")}},
        {{"graph", "-m", m, "--save", path("w5")}, {path("w5")}},
        {{"profile", "-m", m, "--seconds", "0.2", "--html", path("w6"), "--trace", path("w7")},
         {path("w6"), path("w7")}},
        {{"explain", "-m", m}, {}},
        {{"tune", "-m", m, "--budget", "0.3", "--only", "split_bytes"}, {}},
        {{"synth", "--arch", "gemma3-270m", "--quant", "q4_0", "--layers", "1", "-o", path("w10.gguf")},
         {path("w10.gguf")}},
        {{"synth", "--arch", "gemma3-270m", "--quant", "bf16", "--layers", "1", "-o", path("w11")}, {path("w11")}},
        {{"tokenize", "-m", m, "--ids", "2,5"}, {}},
        {{"info", "-m", m}, {}},
    };
  }
  static std::uintmax_t size_of(const std::string& output) {
    if (!fs::is_directory(output)) return fs::exists(output) ? fs::file_size(output) : 0;
    std::uintmax_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(output))
      if (entry.is_regular_file()) bytes += entry.file_size();
    return bytes;
  }
  // Of all that it may leave: names that are not its own yet, in its folder and in that of the caches.
  std::vector<std::string> unfinished() const {
    std::vector<std::string> left;
    for (const std::string& folder : {folder_.string(), std::string(std::getenv("XDG_CACHE_HOME"))})
      for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (name.find(".tmp.") != std::string::npos || name.starts_with(".new.")) left.push_back(entry.path().string());
      }
    return left;
  }
};

TEST_F(ProcessFailures, InterruptedAtAnyTime) {
  const int times = is_exhaustive() ? 200 : 3;
  std::mt19937 random = generator();
  std::int64_t tried = 0, ended_by_signal = 0;
  for (const Command& command : commands()) {
    const auto begin = Clock::now();
    const Outcome whole = run(command.arguments);
    const auto taken = std::chrono::duration_cast<Microseconds>(Clock::now() - begin);
    std::vector<std::uintmax_t> sizes;
    for (const std::string& output : command.outputs) sizes.push_back(size_of(output));
    for (int time = 0; time < times; ++time) {
      for (const std::string& output : command.outputs) fs::remove_all(output);
      const Microseconds delay(std::uniform_int_distribution<Microseconds::rep>(0, taken.count())(random));
      set_current_point(command.arguments[0] + ", interrupted after us", delay.count());
      const pid_t process = start(command.arguments);
      std::this_thread::sleep_for(delay);
      kill(process, SIGINT);
      const std::optional<int> status = wait_for(process);
      ASSERT_TRUE(status) << current_point() << ": does not end";
      // Before it watches signals, the system ends it; afterwards it may be through, or fail as it would have.
      const bool by_signal = WIFSIGNALED(*status) ? WTERMSIG(*status) == SIGINT : WEXITSTATUS(*status) == 128 + SIGINT;
      EXPECT_TRUE(by_signal || (WIFEXITED(*status) && WEXITSTATUS(*status) == whole.status))
          << current_point() << ": " << *status << ' ' << read_whole(folder_ / "err");
      EXPECT_EQ(unfinished(), std::vector<std::string>()) << current_point();
      // A generation that is interrupted saves what it has.
      for (std::size_t i = 0; i < command.outputs.size(); ++i)
        if (fs::exists(command.outputs[i]) && command.arguments[0] != "generate") {
          EXPECT_GT(size_of(command.outputs[i]), sizes[i] / 2) << current_point();
        }
      if (command.arguments[0] == "generate" && fs::exists(command.outputs[0])) {
        EXPECT_EQ(run({"generate", "-m", model(), "--ids", "5", "-n", "1", "--load-cache", command.outputs[0]}).status,
                  0)
            << current_point();
      }
      ++tried;
      ended_by_signal += by_signal;
    }
  }
  EXPECT_GT(ended_by_signal, 0);
  report_points("interrupts of the tool", tried, tried);
}

// Two processes fill one cache; one of them is killed. The other one, and who comes next, are right.
TEST_F(ProcessFailures, KilledWhileTheyShareACache) {
  const int times = is_exhaustive() ? 300 : 12;
  const std::string cache = std::string(std::getenv("XDG_CACHE_HOME")) + "/lazuli";
  std::string many = "2";
  for (int i = 0; i < 40; ++i) many += ",5";
  const auto logits = [&](const std::string& output) {
    return Arguments{"logits", "-m", model(), "--ids", many, "-o", output};
  };
  const auto begin = Clock::now();
  ASSERT_EQ(run(logits(path("reference"))).status, 0);
  const auto taken = std::chrono::duration_cast<Microseconds>(Clock::now() - begin);
  const std::string expected = read_whole(path("reference"));
  std::mt19937 random = generator();
  for (int time = 0; time < times; ++time) {
    fs::remove_all(cache);
    const Microseconds delay(std::uniform_int_distribution<Microseconds::rep>(0, taken.count())(random));
    set_current_point("killed after us", delay.count());
    const pid_t killed = start(logits(path("killed"))), survivor = start(logits(path("survivor")));
    std::this_thread::sleep_for(delay);
    kill(killed, SIGKILL);
    ASSERT_TRUE(wait_for(killed)) << current_point();
    const std::optional<int> status = wait_for(survivor);
    ASSERT_TRUE(status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0) << current_point();
    EXPECT_EQ(read_whole(path("survivor")), expected) << current_point();
    EXPECT_EQ(run(logits(path("next"))).status, 0);
    EXPECT_EQ(read_whole(path("next")), expected) << current_point();
  }
  report_points("kills of a process on a shared cache", times, times);
}

// What was computed can be read; all else is an error at once. Nothing waits for what is not there.
TEST(ForkFailures, WhileOtherThreadsCompute) {
  const int times = is_exhaustive() ? 500 : 30;
  auto session = std::make_unique<Session>(with_threads(2));
  const Array known = full({64, 64}, 3) + 0.0;
  session->eval(known);
  std::atomic<bool> stop{false};
  std::vector<std::jthread> busy;
  for (int thread = 0; thread < 2; ++thread)
    busy.emplace_back([&, thread] {
      const UseSession use(*session);
      for (int round = 0; !stop; ++round) {
        const Array x = full({64 + round % 5, 64}, 1) + 1.0;
        session->async_eval(x, Stream{thread});
        bits_of(x);
      }
    });
  // Before they are joined, however this ends.
  const struct StopAtEnd {
    std::atomic<bool>& stop;
    ~StopAtEnd() { stop = true; }
  } stop_at_end{stop};
  for (int time = 0; time < times; ++time) {
    set_current_point("fork", time);
    const pid_t process = fork();
    if (process == 0) {
      alarm(30);
      const std::string error = error_of([&] { session->eval(known + 1.0); });
      const bool right = error.find("before fork()") != std::string::npos && bits_of(known)[0] == 0x40400000u;
      session.reset();
      _exit(right ? 0 : 1);
    }
    const std::optional<int> status = wait_for(process);
    ASSERT_TRUE(status) << current_point() << ": the child does not end";
    EXPECT_EQ(*status, 0) << current_point();
    EXPECT_EQ(bits_of(known * 2.0)[0], 0x40c00000u) << current_point();
  }
  stop = true;
  report_points("forks while threads compute", times, times);
}

}  // namespace
}  // namespace lazuli::test
