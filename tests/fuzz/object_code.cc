// SPDX-License-Identifier: MIT
// Objects of generated code, as they are kept on disk: they load, or are refused. Nothing of them is run.
#include <lazuli/backends/cpu/jit/object_code.h>
#include <lazuli/tests/fuzz/fuzzing.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  fuzz::accepted([&] {
    const cpu::jit::ObjectCode code(std::as_bytes(std::span(data, size)), "sine");
    fuzz::require(code.address() != nullptr, "code that was loaded has an address");
  });
  return 0;
}
