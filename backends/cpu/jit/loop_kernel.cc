// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/backends/cpu/jit/object_code.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/foreign_memory.h>
#include <lazuli/graph/base/hash.h>
#include <lazuli/passes/graph_edit.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <mutex>
#include <new>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace lazuli::cpu {
namespace {

constexpr std::int64_t max_cached_bytes = std::int64_t{64} << 20;  // some thousand kernels
// LLVM, which ends the process where it finds no memory, takes a tenth of this for a large kernel.
constexpr std::size_t foreign_bytes = std::size_t{64} << 20;

[[noreturn]] void fail_not_allowed(const std::string& symbol, const jit::CodeNotAllowed& error) {
  throw CompileError(fmt::format("loop kernel {}: {}; the backend \"reference\" needs none", symbol, error.what()));
}

}  // namespace

struct LoopCompiler::Impl {
  Impl(Isa level, const std::string& cache_folder, LogSink log_sink)
      : isa(std::min(level, Isa::avx512)),
        objects(cache_folder, "kernels", max_cached_bytes),
        log(std::move(log_sink)) {
    if (log && !cache_folder.empty() && !objects.trouble().empty())
      log(LogLevel::warning, fmt::format("kernels are not kept on disk: {}", objects.trouble()));
  }

  struct LoadedKernel {
    jit::ObjectCode code;
    LoopKernel kernel;
  };

  Isa isa;
  DiskCache objects;
  LogSink log;
  mutable std::mutex mutex;
  std::unordered_map<std::string, std::unique_ptr<LoadedKernel>> kernels;
  std::unordered_set<std::string> symbols;
  std::int64_t compiled = 0;

  std::string unique_symbol(std::string_view name, std::string_view key);
  std::string object_key(std::string_view symbol, std::string_view body_key) const;
  std::unique_ptr<LoadedKernel> load(std::span<const std::byte> object, const std::string& symbol) const;
  std::unique_ptr<LoadedKernel> find_on_disk(const std::string& key, const std::string& symbol) const;
  std::unique_ptr<LoadedKernel> generate(const jit::LoopBody& body, const std::string& key, const std::string& symbol);
  std::unique_ptr<LoadedKernel> build_kernel(const jit::LoopBody& body, const std::string& symbol);
};

std::string LoopCompiler::Impl::unique_symbol(std::string_view name, std::string_view key) {
  std::string clean = name.empty() ? "loop" : std::string(name);
  for (char& c : clean)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  // Short names, as long as there are some: kernels of one name may be more than four digits tell apart.
  constexpr std::uint64_t most_tries = 16;
  const std::uint64_t hash = fnv1a(key);
  for (std::uint64_t attempt = 0;; ++attempt) {
    const std::uint64_t number = hash + attempt;
    std::string symbol = attempt < most_tries ? fmt::format("{}_{:04x}", clean, number & 0xffff)
                                              : fmt::format("{}_{:016x}", clean, number);
    if (symbols.insert(symbol).second) return symbol;
  }
}

// Everything the object's bytes depend on. The symbol is in them.
std::string LoopCompiler::Impl::object_key(std::string_view symbol, std::string_view body_key) const {
  return fmt::format("{}\n{}\n{}\n{}", jit::build_id(), to_string(isa), symbol, body_key);
}

std::unique_ptr<LoopCompiler::Impl::LoadedKernel> LoopCompiler::Impl::load(std::span<const std::byte> object,
                                                                           const std::string& symbol) const {
  std::unique_ptr<LoadedKernel> loaded(new LoadedKernel{{object, symbol}, {symbol, isa, nullptr}});
  loaded->kernel.function = reinterpret_cast<LoopFunction>(loaded->code.address());
  return loaded;
}

// Null where there is no entry, or one that is whole and yet no kernel.
std::unique_ptr<LoopCompiler::Impl::LoadedKernel> LoopCompiler::Impl::find_on_disk(const std::string& key,
                                                                                   const std::string& symbol) const {
  const std::shared_ptr<const CacheEntry> entry = objects.find(key);
  if (!entry) return nullptr;
  try {
    return load(entry->payload(), symbol);
  } catch (const jit::CodeNotAllowed& error) {
    fail_not_allowed(symbol, error);
  } catch (const Error&) {
    return nullptr;
  }
}

std::unique_ptr<LoopCompiler::Impl::LoadedKernel> LoopCompiler::Impl::generate(const jit::LoopBody& body,
                                                                               const std::string& key,
                                                                               const std::string& symbol) {
  const jit::CodeGenerator& generator = jit::code_generator();
  jit::GeneratedObject object;
  reserve_for_foreign_code(foreign_bytes);
  generator.generate(body, symbol, isa, object);
  if (object.bytes.empty() && object.fault.empty()) throw std::bad_alloc();
  if (!object.fault.empty()) throw CompileError(fmt::format("loop kernel {}: {}", symbol, object.fault));
  const std::span<const std::byte> bytes = std::as_bytes(std::span(object.bytes));
  std::unique_ptr<LoadedKernel> loaded;
  try {
    loaded = load(bytes, symbol);
  } catch (const jit::CodeNotAllowed& error) {
    fail_not_allowed(symbol, error);
  } catch (const Error& error) {
    throw CompileError(fmt::format("loop kernel {}: {}", symbol, error.what()));
  }
  // Keys name the LLVM of this build. Where the system has put another in its place, code is made anew each time.
  if (std::string_view(generator.llvm_version) == jit::build_llvm_version()) objects.store(key, bytes);
  ++compiled;
  return loaded;
}

std::unique_ptr<LoopCompiler::Impl::LoadedKernel> LoopCompiler::Impl::build_kernel(const jit::LoopBody& body,
                                                                                   const std::string& symbol) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string key = object_key(symbol, body.key);
  std::unique_ptr<LoadedKernel> loaded = find_on_disk(key, symbol);
  const bool found = loaded != nullptr;
  if (!found) loaded = generate(body, key, symbol);
  if (log) {
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
    log(found ? LogLevel::debug : LogLevel::info,
        fmt::format("kernel {}: {} in {:.1f} ms", symbol, found ? "found on disk" : "compiled", taken.count()));
  }
  return loaded;
}

LoopCompiler::LoopCompiler(Isa isa, const std::string& cache_folder, LogSink log)
    : impl_(std::make_unique<Impl>(isa, cache_folder, std::move(log))) {}
LoopCompiler::~LoopCompiler() = default;

namespace {

constexpr auto is_named_formula = [](const GraphNode& node) {
  return is_elementwise(node.op) && is_composite(node.op);
};
bool has_named_formula(const Graph& body) { return std::ranges::any_of(body.nodes, is_named_formula); }

}  // namespace

std::vector<ScalarAttrs> loop_numbers(const Graph& body) {
  if (has_named_formula(body)) return loop_numbers(spell_out(body, is_named_formula));
  std::vector<ScalarAttrs> numbers;
  for (const GraphNode& node : body.nodes)
    if (node.op == Op::scalar && !node.as<ScalarAttrs>().value.is_literal()) numbers.push_back(node.as<ScalarAttrs>());
  return numbers;
}

const LoopKernel& LoopCompiler::compile(const Graph& graph, std::span<const ColumnAccess> access,
                                        std::string_view name) {
  if (has_named_formula(graph)) return compile(spell_out(graph, is_named_formula), access, name);
  jit::LoopBody body = jit::analyse(graph, access);
  const std::lock_guard lock(impl_->mutex);
  if (const auto found = impl_->kernels.find(body.key); found != impl_->kernels.end()) return found->second->kernel;
  const std::string symbol = impl_->unique_symbol(name, body.key);
  try {
    auto kernel = impl_->build_kernel(body, symbol);
    return impl_->kernels.emplace(std::move(body.key), std::move(kernel)).first->second->kernel;
  } catch (...) {
    impl_->symbols.erase(symbol);  // who tries again has the same name, and finds the kernel on disk under it
    throw;
  }
}

std::int64_t LoopCompiler::kernels() const {
  const std::lock_guard lock(impl_->mutex);
  return static_cast<std::int64_t>(impl_->kernels.size());
}

std::int64_t LoopCompiler::compiled() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->compiled;
}

}  // namespace lazuli::cpu
