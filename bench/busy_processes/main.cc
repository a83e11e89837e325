// SPDX-License-Identifier: MIT
// Several processes that compute all the time on the same few cores. Barriers that spin would cost each of them its
// turns: every process is to keep a share of what it would have alone, divided by their number.
//   lazuli_busy_processes [PROCESSES] [CORES] [SECONDS]      8 on 2 cores, 5 seconds each way
// Prints the figures and "pass" or "fail", which is its status too.
#include <fmt/format.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

namespace lazuli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double least_share = 0.4;
constexpr int most_processes = 64;

// In memory that all of them see.
struct Board {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false}, stop{false};
  std::atomic<std::int64_t> steps[most_processes] = {};
};

// Like a decode step: matrices times one row, and little between them, so that threads meet all the time.
Array step_of(const Array& x, const std::vector<Array>& weights) {
  Array y = x;
  for (const Array& weight : weights) y = gelu_tanh(linear(y, weight)) + y * 0.5;
  return y;
}

void work(Board& board, int process) {
  constexpr std::int64_t width = 512, layers = 12;
  Session session;
  std::vector<Array> weights;
  for (std::int64_t layer = 0; layer < layers; ++layer) weights.push_back(constant(full({width, width}, 0.001f) + 0.0));
  const CompiledFunction step =
      compile([&](const std::vector<Array>& x) { return std::vector{step_of(x[0], weights)}; });
  const Array x = full({1, width}, 1) + 0.0;
  wait(step(x)[0]);
  ++board.ready;
  while (!board.go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  while (!board.stop) {
    wait(step(x)[0]);
    ++board.steps[process];
  }
}

// Steps a second of each process.
std::vector<double> run(Board& board, int processes, int seconds) {
  board.ready = 0;
  board.go = board.stop = false;
  for (auto& steps : board.steps) steps = 0;
  std::vector<pid_t> running;
  for (int process = 0; process < processes; ++process) {
    const pid_t child = fork();  // this process never makes a session
    if (child == 0) {
      alarm(static_cast<unsigned>(60 + 4 * seconds));
      work(board, process);
      _exit(0);
    }
    running.push_back(child);
  }
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (board.ready < processes && Clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  board.go = true;
  const auto begin = Clock::now();
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  const std::chrono::duration<double> taken = Clock::now() - begin;
  std::vector<double> rates;
  for (int process = 0; process < processes; ++process)
    rates.push_back(static_cast<double>(board.steps[process]) / taken.count());
  board.stop = true;
  for (const pid_t process : running) waitpid(process, nullptr, 0);
  return rates;
}

bool use_cores(int count) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  for (int core = 0, found = 0; core < CPU_SETSIZE && found < count; ++core)
    if (CPU_ISSET(core, &allowed)) {
      CPU_SET(core, &chosen);
      ++found;
    }
  return CPU_COUNT(&chosen) == count && sched_setaffinity(0, sizeof chosen, &chosen) == 0;
}

int number(int argc, char** argv, int index, int otherwise) {
  if (index >= argc) return otherwise;
  int value = 0;
  const std::string_view text = argv[index];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

int main_of(int argc, char** argv) {
  const int processes = number(argc, argv, 1, 8), cores = number(argc, argv, 2, 2), seconds = number(argc, argv, 3, 5);
  if (processes < 1 || processes > most_processes || cores < 1 || seconds < 1) {
    std::fputs("lazuli_busy_processes [PROCESSES, 1 to 64] [CORES] [SECONDS]\n", stderr);
    return 2;
  }
  if (!use_cores(cores)) {
    fmt::print(stderr, "lazuli_busy_processes: {} cores are not there\n", cores);
    return 2;
  }
  void* memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  Board& board = *new (memory) Board;
  const double alone = run(board, 1, seconds)[0];
  const std::vector<double> together = run(board, processes, seconds);
  if (board.ready < processes) {
    fmt::print(stderr, "lazuli_busy_processes: {} of {} processes got ready\n", board.ready.load(), processes);
    return 2;
  }
  const double fair = alone / processes, least = *std::ranges::min_element(together);
  double sum = 0;
  for (const double rate : together) sum += rate;
  const bool passes = alone > 0 && least >= least_share * fair;
  fmt::print(
      "{} processes on {} cores: alone {:.0f} steps/s, a fair share {:.0f}; the slowest {:.0f} ({:.0f} %), all "
      "together {:.0f} ({:.0f} % of one alone); at least {:.0f} %: {}\n",
      processes, cores, alone, fair, least, 100 * least / fair, sum, 100 * sum / alone, 100 * least_share,
      passes ? "pass" : "fail");
  return passes ? 0 : 1;
}

}  // namespace
}  // namespace lazuli

int main(int argc, char** argv) { return lazuli::main_of(argc, argv); }
