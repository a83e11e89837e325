// What this host can do, as a measure for the rest: memory read, triad, and the peaks of f32 and int8 matmuls.
#include <lazuli/backends/cpu/blas.h>
#include <lazuli/backends/cpu/kernels.h>
#include <lazuli/backends/cpu/packed_weight.h>
#include <lazuli/backends/cpu/threads.h>
#include <lazuli/bench/register.h>
#include <lazuli/graph/error.h>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace lazuli::bench {
namespace {

constexpr std::int64_t elements = std::int64_t{64} << 20;  // of each streamed array: no cache of ours holds it
constexpr std::int64_t rows = 512, inner = 2048, outputs = 2048;

// Written by the threads that read it later; untouched pages are all one page of zeros, which the caches hold.
BufferRef filled_array(ThreadPool& pool, std::int64_t count = elements) {
  const BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(count) * sizeof(float));
  pool.run_on_all([&](int worker) {
    const Range part = share(count, worker, pool.size());
    std::fill(buffer->as<float>() + part.begin, buffer->as<float>() + part.end, 1.0f);
  });
  return buffer;
}

void set_operations(benchmark::State& state, const char* unit) {
  constexpr double operations = 2.0 * rows * inner * outputs;
  state.counters[unit] = benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
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

void f32_matmul(benchmark::State& state) {
  ThreadPool pool;
  const BufferRef x = filled_array(pool, rows * inner), weight = filled_array(pool, outputs * inner),
                  y = filled_array(pool, rows * outputs);
  const Sgemm product{RightOperand::rows_are_columns_of_c, rows, outputs, inner, x->as<float>(), inner,
                      weight->as<float>(), inner, y->as<float>(), outputs};
  try {
    blas_info();
  } catch (const Error& error) {
    return state.SkipWithError(error.what());
  }
  for (auto _ : state) pool.run_on_all([&](int worker) { sgemm(sgemm_slice(product, worker, pool.size())); });
  set_operations(state, "FLOP/s");
}

// The best linear kernel for q8_0 weights, on rows already quantised.
void int8_matmul(benchmark::State& state) {
  ThreadPool pool;
  const Isa isa = selected_isa();
  const LinearKernel* kernel = find_linear_kernel(DType::q8_0, isa);
  PackedWeight packed = allocate_packed(DType::q8_0, outputs, inner);
  std::memset(packed.data->data(), 0, packed.data->size());
  const BufferRef memory = Buffer::allocate(quantised_rows_bytes(rows, inner));
  const BufferRef x = filled_array(pool, rows * inner), y = filled_array(pool, rows * outputs);
  const QuantisedRowsView quantised = quantised_rows(memory->data(), rows, inner);
  find_quantise_rows_kernel(isa).quantise(x->as<float>(), inner, 0, rows, quantised);
  for (auto _ : state)
    pool.run_on_all([&](int worker) {
      const Range groups = share(packed.groups(), worker, pool.size());
      kernel->multiply(view(packed), quantised, groups.begin, groups.end, 0, rows, y->as<float>(), outputs);
    });
  state.SetLabel(kernel->name);
  set_operations(state, "OP/s");
}

}  // namespace

void register_limits() {
  const std::pair<const char*, void (*)(benchmark::State&)> limits[] = {{"limits/read", read_memory},
                                                                        {"limits/triad", triad},
                                                                        {"limits/f32_matmul", f32_matmul},
                                                                        {"limits/int8_matmul", int8_matmul}};
  for (const auto& [name, measure] : limits)
    benchmark::RegisterBenchmark(name, measure)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

}  // namespace lazuli::bench
