// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/kernels/peaks.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/runtime/profile/host_limits.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace lazuli {
namespace {

using Clock = std::chrono::steady_clock;

// Seconds of the fastest run on all threads, out of those that fit a quarter of a second (at least three).
double best_seconds(Executor& threads, FunctionRef<void(int worker)> body) {
  constexpr double budget = 0.25;
  constexpr int fewest = 3;
  double best = 1e30, total = 0;
  for (int run = 0; run < fewest || total < budget; ++run) {
    const auto start = Clock::now();
    threads.run_on_all(body);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

// Four streams of eight sums: a core fetches ahead along several streams at once, and one alone does not fill its share
// of the memory's rate.
std::uint64_t sum_words(const std::uint64_t* words, std::size_t count) {
  constexpr std::size_t streams = 4, lanes = 8;
  const std::size_t length = count / streams / lanes * lanes;
  std::array<std::uint64_t, lanes> sums{};
  for (std::size_t i = 0; i < length; i += lanes)
    for (std::size_t stream = 0; stream < streams; ++stream)
      for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += words[stream * length + i + lane];
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

// In huge pages where the system grants them: with small ones a core can wait for the page tables, not for the memory.
double read_gbps(Executor& threads) {
  constexpr std::size_t bytes = std::size_t{512} << 20, huge_page = std::size_t{2} << 20;
  const std::unique_ptr<void, void (*)(void*)> memory(std::aligned_alloc(huge_page, bytes), std::free);
  if (!memory) throw std::bad_alloc();
  madvise(memory.get(), bytes, MADV_HUGEPAGE);
  auto* const words = static_cast<std::uint64_t*>(memory.get());
  const std::size_t count = bytes / 8 / static_cast<std::size_t>(threads.size()),
                    read = count * static_cast<std::size_t>(threads.size());
  const auto part = [&](int worker) { return words + static_cast<std::size_t>(worker) * count; };
  std::atomic<std::uint64_t> sink{0};  // keeps the sums from being optimised away
  // Written first: pages never touched are all one page of zeros, which the caches hold.
  threads.run_on_all([&](int worker) { std::memset(part(worker), 1, count * 8); });
  const double seconds = best_seconds(threads, [&](int worker) { sink += sum_words(part(worker), count); });
  return static_cast<double>(read * 8) / seconds * 1e-9;
}

// 10^9 operations a second of all threads together, in registers, at the level given.
std::optional<double> peak_giga(Executor& threads, PeakArithmetic arithmetic, Isa isa) {
  constexpr std::int64_t rounds = 100'000;  // a few milliseconds at most
  const PeakLoop* loop = find_peak_loop(arithmetic, isa);
  if (!loop) return std::nullopt;
  const double seconds = best_seconds(threads, [&](int) { loop->run(rounds); });
  return loop->operations * rounds * threads.size() / seconds * 1e-9;
}

}  // namespace

HostLimits measure_limits(int threads, Isa isa) {
  ThreadPool pool(threads);
  HostLimits limits;
  limits.read_gbps = read_gbps(pool);
  limits.f32_gflops = peak_giga(pool, PeakArithmetic::f32, isa);
  limits.bf16_gflops = peak_giga(pool, PeakArithmetic::bf16, isa);
  limits.int8_gops = peak_giga(pool, PeakArithmetic::int8, isa);
  return limits;
}

HostLimits limits_of_host(int threads, Isa isa) {
  static std::mutex mutex;
  static std::map<std::pair<int, Isa>, HostLimits> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find({threads, isa});
  return found != known.end() ? found->second : known[{threads, isa}] = measure_limits(threads, isa);
}

HostLimits higher_of(const HostLimits& a, const HostLimits& b) {
  return {std::max(a.read_gbps, b.read_gbps), std::max(a.f32_gflops, b.f32_gflops),
          std::max(a.bf16_gflops, b.bf16_gflops), std::max(a.int8_gops, b.int8_gops)};
}

}  // namespace lazuli
