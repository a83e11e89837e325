// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/backends/cpu/jit/build_id.h>
#include <lazuli/backends/cpu/jit/code_generator.h>
#include <lazuli/backends/cpu/jit/loop_emitter.h>
#include <lazuli/backends/cpu/jit/symbolize.h>
#include <lazuli/graph/base/floating_point_mode.h>
#include <llvm-c/Core.h>
#include <llvm/ExecutionEngine/Orc/CompileUtils.h>
#include <llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>

namespace lazuli::cpu::jit {
namespace {

template <class T>
T value_of(llvm::Expected<T> expected, const char* what) {
  if (!expected) throw std::runtime_error(fmt::format("{}: {}", what, llvm::toString(expected.takeError())));
  return std::move(*expected);
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

TargetTraits traits_of(Isa isa) { return {.half_conversion = isa >= Isa::avx2, .masked_memory = isa >= Isa::avx512}; }

// The processor's name stays the baseline's: any other would bring features that were not asked for.
std::unique_ptr<llvm::TargetMachine> target_machine(Isa isa) {
  initialise_target();
  llvm::orc::JITTargetMachineBuilder builder{llvm::Triple(llvm::sys::getProcessTriple())};
  builder.setCPU("x86-64");
  builder.setFeatures(features_of(isa));
  // Code and constants lie in one mapping, which may be anywhere (object_code.h).
  builder.setRelocationModel(llvm::Reloc::PIC_);
  builder.setCodeModel(llvm::CodeModel::Small);
  // The IR is emitted in its final form; what more the higher levels do shows in compile time only.
  builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Less);
  builder.getOptions().AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return value_of(builder.createTargetMachine(), "cannot start the compiler");
}

// Nothing outlives a call: LLVM's own static objects may be destroyed before a session that is static as well.
std::string generate_object(const LoopBody& body, const std::string& symbol, Isa isa) {
  const std::unique_ptr<llvm::TargetMachine> machine = target_machine(isa);
  llvm::LLVMContext context;
  llvm::Module module(symbol, context);
  module.setDataLayout(machine->createDataLayout());
  module.setTargetTriple(machine->getTargetTriple().str());
  llvm::Function* function = emit_loop(module, body, traits_of(isa), symbol);
  std::string faults;
  llvm::raw_string_ostream stream(faults);
  if (llvm::verifyFunction(*function, &stream)) throw std::runtime_error("internal error: invalid code: " + faults);
  const std::unique_ptr<llvm::MemoryBuffer> object =
      value_of(llvm::orc::SimpleCompiler(*machine)(module), "cannot compile");
  return object->getBuffer().str();
}

void set_fault(GeneratedObject& object, const char* text) noexcept {
  try {
    object.fault = text;
  } catch (const std::bad_alloc&) {
    object.fault.clear();
  }
}

void generate(const LoopBody& body, const std::string& symbol, Isa isa, GeneratedObject& object) noexcept {
  const DefaultFloatingPointMode mode;  // numbers become constants of their dtype
  try {
    object.bytes = generate_object(body, symbol, isa);
  } catch (const std::bad_alloc&) {
    object.bytes.clear();  // neither bytes nor a fault
  } catch (const std::exception& error) {
    set_fault(object, error.what());
  }
}

std::string loaded_llvm_version() {
  unsigned major = 0, minor = 0, patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  return fmt::format("{}.{}.{}", major, minor, patch);
}

}  // namespace
}  // namespace lazuli::cpu::jit

const lazuli::cpu::jit::CodeGenerator* lazuli_codegen_1() {
  using namespace lazuli::cpu::jit;
  static const std::string version = loaded_llvm_version();
  static const CodeGenerator generator{build_id(), version.c_str(), generate, symbolize};
  return &generator;
}
