// SPDX-License-Identifier: MIT
// What this host can do, as a measure for the rest: memory read, triad, and the peaks of every instruction-set level.
#include <benchmark/benchmark.h>
#include <lazuli/backends/cpu/host/range.h>
#include <lazuli/backends/cpu/host/threads.h>
#include <lazuli/backends/cpu/kernels/peaks.h>
#include <lazuli/bench/register.h>
#include <lazuli/graph/buffer.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace lazuli::bench {
namespace {

constexpr std::int64_t elements = std::int64_t{64} << 20;  // of each streamed array: no cache of ours holds it

// Written by the threads that read it later; untouched pages are all one page of zeros, which the caches hold.
BufferRef filled_array(ThreadPool& pool) {
  const BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(elements) * sizeof(float));
  pool.run_on_all([&](int worker) {
    const Range part = share(elements, worker, pool.size());
    std::fill(buffer->as<float>() + part.begin, buffer->as<float>() + part.end, 1.0f);
  });
  return buffer;
}

// Independent sums, so that no core waits for an addition with loads outstanding.
void read_memory(benchmark::State& state) {
  ThreadPool pool;
  const BufferRef buffer = filled_array(pool);
  for (auto _ : state)
    pool.run_on_all([&](int worker) {
      const auto* words = buffer->as<std::uint64_t>();
      const Range part = share(elements / 2, worker, pool.size());
      std::array<std::uint64_t, 8> sums{};
      for (std::int64_t i = part.begin; i + 8 <= part.end; i += 8)
        for (std::size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += words[i + static_cast<std::int64_t>(lane)];
      benchmark::DoNotOptimize(sums);
    });
  state.SetBytesProcessed(state.iterations() * elements * static_cast<std::int64_t>(sizeof(float)));
}

// a = b + s c, McCalpin's STREAM triad; two arrays read, one written.
void triad(benchmark::State& state) {
  ThreadPool pool;
  const BufferRef a = filled_array(pool), b = filled_array(pool), c = filled_array(pool);
  for (auto _ : state)
    pool.run_on_all([&](int worker) {
      const Range part = share(elements, worker, pool.size());
      float* __restrict result = a->as<float>();
      const float *left = b->as<float>(), *right = c->as<float>();
      for (std::int64_t i = part.begin; i < part.end; ++i) result[i] = left[i] + 3.0f * right[i];
      benchmark::ClobberMemory();
    });
  state.SetBytesProcessed(state.iterations() * 3 * elements * static_cast<std::int64_t>(sizeof(float)));
}

// All threads in registers.
void peak(benchmark::State& state, const PeakLoop& loop) {
  constexpr std::int64_t rounds = 100'000;
  ThreadPool pool;
  for (auto _ : state) pool.run_on_all([&](int) { loop.run(rounds); });
  state.counters["OP/s"] =
      benchmark::Counter(loop.operations * rounds * pool.size(), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

void register_limits() {
  const auto add = [](const std::string& name, auto measure) {
    benchmark::RegisterBenchmark(name.c_str(), measure)->UseRealTime()->Unit(benchmark::kMicrosecond);
  };
  add("limits/read", read_memory);
  add("limits/triad", triad);
  for (const PeakLoop& loop : peak_loops())
    if (loop.isa <= selected_isa())
      add(std::string("limits/") + loop.name, [&loop](benchmark::State& state) { peak(state, loop); });
}

}  // namespace lazuli::bench
