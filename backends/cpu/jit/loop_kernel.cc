// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/host/disk_cache.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <lazuli/backends/cpu/jit/loop_body.h>
#include <lazuli/backends/cpu/jit/loop_emitter.h>
#include <lazuli/backends/cpu/jit/loop_kernel.h>
#include <lazuli/backends/cpu/jit/rare_lanes.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/hash.h>
#include <lazuli/passes/graph_edit.h>
#include <llvm/ExecutionEngine/JITEventListener.h>
#include <llvm/ExecutionEngine/Orc/CompileUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/RTDyldObjectLinkingLayer.h>
#include <llvm/ExecutionEngine/SectionMemoryManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace lazuli::cpu {
namespace {

constexpr std::int64_t max_cached_bytes = std::int64_t{64} << 20;  // some thousand kernels

template <class T>
T value_of(llvm::Expected<T> expected, const char* what) {
  if (!expected) throw CompileError(fmt::format("loop kernel: {}: {}", what, llvm::toString(expected.takeError())));
  return std::move(*expected);
}

void check(llvm::Error error, const char* what) {
  if (error) throw CompileError(fmt::format("loop kernel: {}: {}", what, llvm::toString(std::move(error))));
}

void initialise_target() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
}

// LLVM is handed features, not a CPU name: it takes some CPUs for others by their model number.
std::string features_of(Isa isa) {
  std::string features = "+sse2";
  if (isa >= Isa::avx2) features += ",+avx,+avx2,+fma,+f16c";
  if (isa >= Isa::avx512) features += ",+avx512f,+avx512bw,+avx512dq,+avx512vl";
  return features;
}

jit::TargetTraits traits_of(Isa isa) {
  return {.half_conversion = isa >= Isa::avx2, .masked_memory = isa >= Isa::avx512};
}

// The processor's name stays the baseline's: any other would bring features that were not asked for.
llvm::orc::JITTargetMachineBuilder target_machine(const std::string& features) {
  initialise_target();
  llvm::orc::JITTargetMachineBuilder builder{llvm::Triple(llvm::sys::getProcessTriple())};
  builder.setCPU("x86-64");
  builder.setFeatures(features);
  // The IR is emitted in its final form; what more the higher levels do shows in compile time only.
  builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Less);
  builder.getOptions().AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return builder;
}

std::unique_ptr<llvm::orc::ObjectLayer> linking_layer(llvm::orc::ExecutionSession& session) {
  auto layer = std::make_unique<llvm::orc::RTDyldObjectLinkingLayer>(
      session, [] { return std::make_unique<llvm::SectionMemoryManager>(); });
  layer->registerJITEventListener(*llvm::JITEventListener::createGDBRegistrationListener());
  // perf's listener writes a dump file as soon as it exists, so it has to be asked for.
  if (std::getenv("JITDUMPDIR"))
    if (llvm::JITEventListener* perf = llvm::JITEventListener::createPerfJITEventListener())
      layer->registerJITEventListener(*perf);
  return layer;
}

std::unique_ptr<llvm::orc::LLJIT> make_jit(const std::string& features) {
  auto jit = value_of(llvm::orc::LLJITBuilder()
                          .setJITTargetMachineBuilder(target_machine(features))
                          .setObjectLinkingLayerCreator([](llvm::orc::ExecutionSession& session, const llvm::Triple&) {
                            return llvm::Expected<std::unique_ptr<llvm::orc::ObjectLayer>>(linking_layer(session));
                          })
                          .create(),
                      "cannot start the compiler");
  llvm::orc::SymbolMap symbols;
  for (const jit::LibraryFunction& function : jit::library_functions())
    symbols[jit->mangleAndIntern(function.symbol)] = {llvm::orc::ExecutorAddr::fromPtr(function.function),
                                                      llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  check(jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols))),
        "cannot define library functions");
  return jit;
}

}  // namespace

struct LoopCompiler::Impl {
  Impl(Isa level, const std::string& cache_folder, LogSink log_sink)
      : isa(std::min(level, Isa::avx512)),
        features(features_of(isa)),
        build(jit::build_id()),
        objects(build.empty() ? std::string() : cache_folder, "kernels", max_cached_bytes),
        log(std::move(log_sink)) {
    if (!log || cache_folder.empty()) return;
    if (build.empty())
      log(LogLevel::warning, "kernels are not kept on disk: the program was linked without a build id");
    if (!objects.trouble().empty())
      log(LogLevel::warning, fmt::format("kernels are not kept on disk: {}", objects.trouble()));
  }

  Isa isa;
  std::string features;
  std::string build;
  DiskCache objects;
  LogSink log;
  mutable std::mutex mutex;
  std::unique_ptr<llvm::orc::LLJIT> jit;         // made by the first kernel; it links
  std::unique_ptr<llvm::TargetMachine> machine;  // made by the first compilation
  std::unordered_map<std::string, std::unique_ptr<LoopKernel>> kernels;
  std::unordered_set<std::string> symbols;
  std::int64_t compiled = 0;

  std::string unique_symbol(std::string_view name, std::string_view key);
  std::string object_key(std::string_view symbol, std::string_view body_key) const;
  std::unique_ptr<llvm::MemoryBuffer> compile_object(const jit::LoopBody& body, const std::string& symbol);
  std::unique_ptr<llvm::MemoryBuffer> find_or_compile_object(const jit::LoopBody& body, const std::string& symbol);
  std::unique_ptr<LoopKernel> build_kernel(const jit::LoopBody& body, std::string symbol);
};

std::string LoopCompiler::Impl::unique_symbol(std::string_view name, std::string_view key) {
  std::string clean = name.empty() ? "loop" : std::string(name);
  for (char& c : clean)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  for (std::uint64_t hash = fnv1a(key);; ++hash) {
    std::string symbol = fmt::format("{}_{:04x}", clean, hash & 0xffff);
    if (symbols.insert(symbol).second) return symbol;
  }
}

// Everything the object's bytes depend on. The symbol is in them.
std::string LoopCompiler::Impl::object_key(std::string_view symbol, std::string_view body_key) const {
  return fmt::format("{}\n{}\n{}\n{}", build, features, symbol, body_key);
}

std::unique_ptr<llvm::MemoryBuffer> LoopCompiler::Impl::compile_object(const jit::LoopBody& body,
                                                                       const std::string& symbol) {
  if (!machine) machine = value_of(target_machine(features).createTargetMachine(), "cannot start the compiler");
  llvm::LLVMContext context;
  llvm::Module module(symbol, context);
  module.setDataLayout(machine->createDataLayout());
  module.setTargetTriple(machine->getTargetTriple().str());
  llvm::Function* function = jit::emit_loop(module, body, traits_of(isa), symbol);
  std::string faults;
  llvm::raw_string_ostream stream(faults);
  if (llvm::verifyFunction(*function, &stream)) fail_internal("loop kernel {}: invalid code: {}", symbol, stream.str());
  ++compiled;
  return value_of(llvm::orc::SimpleCompiler(*machine)(module), "cannot compile");
}

std::unique_ptr<llvm::MemoryBuffer> LoopCompiler::Impl::find_or_compile_object(const jit::LoopBody& body,
                                                                               const std::string& symbol) {
  const std::string key = object_key(symbol, body.key);
  if (const std::shared_ptr<const CacheEntry> entry = objects.find(key)) {
    const std::span<const std::byte> code = entry->payload();
    return llvm::MemoryBuffer::getMemBufferCopy({reinterpret_cast<const char*>(code.data()), code.size()}, symbol);
  }
  std::unique_ptr<llvm::MemoryBuffer> object = compile_object(body, symbol);
  objects.store(key, std::as_bytes(std::span(object->getBufferStart(), object->getBufferSize())));
  return object;
}

std::unique_ptr<LoopKernel> LoopCompiler::Impl::build_kernel(const jit::LoopBody& body, std::string symbol) {
  const std::int64_t compiled_before = compiled;
  const auto begin = std::chrono::steady_clock::now();
  std::unique_ptr<llvm::MemoryBuffer> object = find_or_compile_object(body, symbol);
  if (!jit) jit = make_jit(features);
  check(jit->addObjectFile(std::move(object)), "cannot add the kernel");
  const auto address = value_of(jit->lookup(symbol), "cannot link");
  if (log) {
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
    const bool made = compiled > compiled_before;
    log(made ? LogLevel::info : LogLevel::debug,
        fmt::format("kernel {}: {} in {:.1f} ms", symbol, made ? "compiled" : "found on disk", taken.count()));
  }
  return std::make_unique<LoopKernel>(LoopKernel{std::move(symbol), isa, address.toPtr<LoopFunction>()});
}

LoopCompiler::LoopCompiler(Isa isa, const std::string& cache_folder, LogSink log)
    : impl_(std::make_unique<Impl>(isa, cache_folder, std::move(log))) {}
LoopCompiler::~LoopCompiler() = default;

namespace {

bool is_named_formula(const GraphNode& node) { return is_elementwise(node.op) && is_composite(node.op); }
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
  if (const auto found = impl_->kernels.find(body.key); found != impl_->kernels.end()) return *found->second;
  std::unique_ptr<LoopKernel> kernel = impl_->build_kernel(body, impl_->unique_symbol(name, body.key));
  return *impl_->kernels.emplace(std::move(body.key), std::move(kernel)).first->second;
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
