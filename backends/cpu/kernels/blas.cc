// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <fmt/format.h>
#include <lazuli/backends/cpu/kernels/blas.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/foreign_memory.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

namespace lazuli {
namespace {

// The plain name is whatever the system prefers; the others are where Debian and Fedora keep the builds for POSIX
// threads. The build without threads may lack the locks that calls from several threads need, so it is not named.
constexpr const char* library_files[] = {
    "libopenblas.so.0",
    "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0",
    "libopenblasp.so.0",
    "libopenblas.so",
};

constexpr int row_major = 101, no_transpose = 111, transpose = 112;  // CBLAS_ORDER, CBLAS_TRANSPOSE

// Borders of tiles: whole vectors and whole micro-kernel tiles of every instruction set.
constexpr std::int64_t tile_granule = 16;

// Every call packs its operands anew, and more threads than this gain nothing from more tiles. Most small numbers of
// threads divide it.
constexpr std::int64_t min_tile = 64, max_tiles = 48;

// Sets a variable while a library loads and then puts the old value back, so that neither child processes nor another
// copy of OpenBLAS in this process see ours.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value, 1);
  }
  ~ScopedVariable() {
    if (old_)
      setenv(name_, old_->c_str(), 1);
    else
      unsetenv(name_);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

// Null when neither applies: then OpenBLAS's own choice stands.
const char* core_type() {
#if defined(__x86_64__)
  // Asks the operating system too (XGETBV), not only the CPU.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return "SkylakeX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

template <class Function>
void find(void* library, const char* file, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  if (!function) fail("OpenBLAS: {} has no function {}", file, symbol);
}

const BlasLibrary& library() {
  // A failed load throws and leaves this unset, so that the next call tries again.
  static const BlasLibrary loaded = load_blas(library_files);
  return loaded;
}

// OpenBLAS, which ends the process where it finds no memory, maps a block of its own for every thread that is inside.
void reserve_block() {
  constexpr std::size_t block_bytes = std::size_t{64} << 20;
  thread_local bool has_block = false;
  if (has_block) return;
  reserve_for_foreign_code(block_bytes);
  has_block = true;
}

int checked_int(std::int64_t value, std::int64_t least, const char* name) {
  if (value < least || value > std::numeric_limits<int>::max())
    fail("sgemm: {} is {}, expected {} to {}", name, value, least, std::numeric_limits<int>::max());
  return static_cast<int>(value);
}

// [begin, end) of part `part` when `count` granules' worth of items are dealt out as evenly as can be.
std::pair<std::int64_t, std::int64_t> even_part(std::int64_t count, int part, int parts) {
  const std::int64_t granules = (count + tile_granule - 1) / tile_granule;
  const auto border = [&](std::int64_t index) { return std::min(granules * index / parts * tile_granule, count); };
  return {border(part), border(part + 1)};
}

}  // namespace

BlasLibrary load_blas(std::span<const char* const> files) {
  std::string reasons;
  for (const char* file : files) {
    const ScopedVariable threads("OPENBLAS_NUM_THREADS", "1");
    std::optional<ScopedVariable> core;
    const char* chosen = std::getenv("OPENBLAS_CORETYPE");
    if (const char* best = core_type(); best && (!chosen || !*chosen)) core.emplace("OPENBLAS_CORETYPE", best);

    // Local, so that its BLAS symbols replace nobody else's.
    void* handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char* reason = dlerror();
      reasons += fmt::format("{}{}", reasons.empty() ? "" : "; ", reason ? reason : file);
      continue;
    }
    BlasLibrary loaded;
    loaded.file = file;
    find(handle, file, "cblas_sgemm", loaded.sgemm);
    find(handle, file, "openblas_set_num_threads", loaded.set_threads);
    find(handle, file, "openblas_get_config", loaded.config);
    find(handle, file, "openblas_get_corename", loaded.core);
    // Where the host process had loaded it before, it did not read our environment. Our callers are the threads.
    loaded.set_threads(1);
    return loaded;
  }
  fail("OpenBLAS could not be loaded; on Debian, install the package libopenblas0 (tried: {})", reasons);
}

BlasInfo blas_info() {
  const BlasLibrary& blas = library();
  return {blas.file, blas.config(), blas.core()};
}

void sgemm(const Sgemm& product) {
  const bool b_transposed = product.layout == RightOperand::rows_are_columns_of_c;
  const int m = checked_int(product.m, 0, "m"), n = checked_int(product.n, 0, "n"), k = checked_int(product.k, 0, "k");
  // OpenBLAS would print to stderr, and return, when a leading dimension is smaller than a row, or zero.
  const int lda = checked_int(product.lda, std::max(1, k), "lda");
  const int ldb = checked_int(product.ldb, std::max(1, b_transposed ? k : n), "ldb");
  const int ldc = checked_int(product.ldc, std::max(1, n), "ldc");
  if (m == 0 || n == 0) return;
  reserve_block();
  library().sgemm(row_major, no_transpose, b_transposed ? transpose : no_transpose, m, n, k, 1.0f, product.a, lda,
                  product.b, ldb, 0.0f, product.c, ldc);
}

int sgemm_tiles(std::int64_t m, std::int64_t n) {
  return static_cast<int>(std::clamp<std::int64_t>(std::max(m, n) / min_tile, 1, max_tiles));
}

Sgemm sgemm_tile(const Sgemm& product, int tile, int tiles) {
  Sgemm part = product;
  if (product.m > product.n) {
    const auto [begin, end] = even_part(product.m, tile, tiles);
    part.m = end - begin;
    part.a += begin * product.lda;
    part.c += begin * product.ldc;
  } else {
    const auto [begin, end] = even_part(product.n, tile, tiles);
    part.n = end - begin;
    part.b += product.layout == RightOperand::rows_are_columns_of_c ? begin * product.ldb : begin;
    part.c += begin;
  }
  return part;
}

}  // namespace lazuli
