// SPDX-License-Identifier: MIT
// The code generator of this program: that of the build's module, marked as foreign code. lazuli finds it as one that
// is linked in (jit/find_generator.cc).
#include <lazuli/backends/cpu/jit/find_generator.h>
#include <lazuli/tests/faults/allocations.h>

namespace lazuli::test {
namespace {

using cpu::jit::CodeGenerator;

const CodeGenerator& of_the_build() {
  static const CodeGenerator& loaded = cpu::jit::load_generator({LAZULI_TEST_LIBRARIES}, "liblazuli-codegen.so.0");
  return loaded;
}

}  // namespace
}  // namespace lazuli::test

extern "C" const lazuli::cpu::jit::CodeGenerator* lazuli_codegen_1() {
  using namespace lazuli;
  const test::ForeignCode loading;
  static const cpu::jit::CodeGenerator marked{
      test::of_the_build().build, test::of_the_build().llvm_version,
      [](const cpu::jit::LoopBody& body, const std::string& symbol, Isa isa,
         cpu::jit::GeneratedObject& object) noexcept {
        const test::ForeignCode generating;
        test::of_the_build().generate(body, symbol, isa, object);
      },
      [](const std::string& module, std::uint64_t offset, std::vector<SourceFrame>& frames) noexcept {
        const test::ForeignCode reading;
        test::of_the_build().symbolize(module, offset, frames);
      }};
  return &marked;
}
