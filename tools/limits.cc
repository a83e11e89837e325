#include <lazuli/backends/cpu/blas.h>
#include <lazuli/backends/cpu/kernels.h>
#include <lazuli/backends/cpu/packed_weight.h>
#include <lazuli/backends/cpu/threads.h>
#include <lazuli/graph/error.h>
#include <lazuli/graph/quantised.h>
#include <lazuli/tools/limits.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <vector>

namespace lazuli::tool {
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

std::vector<float> random_values(std::size_t count) {
  std::minstd_rand random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
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

constexpr std::int64_t rows = 512, inner = 2048, outputs = 2048;
constexpr double matmul_operations = 2.0 * rows * inner * outputs;

std::optional<double> f32_gflops(Executor& threads) {
  try {
    blas_info();
  } catch (const Error&) {
    return std::nullopt;
  }
  const std::vector<float> x = random_values(rows * inner), weight = random_values(outputs * inner);
  std::vector<float> y(rows * outputs);
  Sgemm product;
  product.m = rows, product.n = outputs, product.k = inner;
  product.a = x.data(), product.lda = inner;
  product.b = weight.data(), product.ldb = inner;
  product.c = y.data(), product.ldc = outputs;
  const double seconds =
      best_seconds(threads, [&](int worker) { sgemm(sgemm_slice(product, worker, threads.size())); });
  return matmul_operations / seconds * 1e-9;
}

// [outputs, inner], for the written kernels.
PackedWeight random_packed(DType dtype) {
  const std::vector<float> values = random_values(outputs * inner);
  std::vector<std::byte> blocks(static_cast<std::size_t>(byte_size(dtype, outputs * inner)));
  quantise(dtype, values.data(), outputs * inner, blocks.data());
  PackedWeight packed = allocate_packed(dtype, outputs, inner);
  pack_rows(blocks.data(), packed, 0, packed.groups());
  return packed;
}

std::optional<double> int8_gops(Executor& threads) {
  const Isa isa = selected_isa();
  const LinearKernel* kernel = find_linear_kernel(DType::q8_0, isa);
  if (!kernel || !kernel->multiply) return std::nullopt;
  const std::vector<float> x = random_values(rows * inner);
  const PackedWeight packed = random_packed(DType::q8_0);
  const PackedWeightView weight = view(packed);
  const BufferRef memory = Buffer::allocate(quantised_rows_bytes(rows, inner));
  const QuantisedRowsView quantised = quantised_rows(memory->data(), rows, inner);
  find_quantise_rows_kernel(isa).quantise(x.data(), inner, 0, rows, quantised);
  std::vector<float> y(rows * outputs);
  const double seconds = best_seconds(threads, [&](int worker) {
    const Range groups = share(packed.groups(), worker, threads.size());
    kernel->multiply(weight, quantised, groups.begin, groups.end, 0, rows, y.data(), outputs);
  });
  return matmul_operations / seconds * 1e-9;
}

std::optional<double> bf16_gflops(Executor& threads) {
  const Isa isa = selected_isa();
  const PanelKernel* kernel = find_panel_kernel(DType::bf16, isa);
  if (!kernel) return std::nullopt;
  const std::vector<float> x = random_values(rows * inner);
  const PackedWeight packed = random_packed(DType::bf16);
  const PackedWeightView weight = view(packed);
  const BufferRef memory = Buffer::allocate(tiled_rows_bytes(rows, inner));
  const TiledRowsView tiles = tiled_rows(memory->data(), rows, inner);
  find_tile_rows_kernel(isa)->tile(x.data(), inner, 0, rows / 16, tiles);
  constexpr std::int64_t scratch_bytes = panel_scratch_weights + panel_scratch_row * panel_scratch_rows;
  const BufferRef scratch = Buffer::allocate(static_cast<std::size_t>(scratch_bytes * threads.size()));
  std::vector<float> y(rows * outputs);
  const double seconds = best_seconds(threads, [&](int worker) {
    const Range pairs = share(packed.groups() / 2, worker, threads.size());
    kernel->multiply(weight, tiles, 2 * pairs.begin, 2 * pairs.end, y.data(), outputs,
                     scratch->as<std::uint8_t>() + worker * scratch_bytes);
  });
  return matmul_operations / seconds * 1e-9;
}

}  // namespace

HostLimits measure_limits(int threads) {
  ThreadPool pool(threads);
  HostLimits limits;
  limits.read_gbps = read_gbps(pool);
  limits.f32_gflops = f32_gflops(pool);
  limits.bf16_gflops = bf16_gflops(pool);
  limits.int8_gops = int8_gops(pool);
  return limits;
}

double measure_read_gbps(int threads) {
  ThreadPool pool(threads);
  return read_gbps(pool);
}

}  // namespace lazuli::tool
