// SPDX-License-Identifier: MIT
// Safetensors files: the header, and all data of all tensors.
#include <lazuli/graph/files/safetensors.h>
#include <lazuli/tests/fuzz/fuzzing.h>
#include <lazuli/tests/fuzz/memory_folder.h>

namespace lazuli::fuzz {
namespace {

void check(const std::map<std::string, Array>& tensors) {
  for (const auto& [name, array] : tensors) {
    const BufferRef& buffer = array.result().buffer;
    require(static_cast<std::int64_t>(buffer->size()) == array.type().bytes(), "a tensor has the bytes of its type");
    read_all({buffer->data(), buffer->size()});
    buffer->release_pages();
  }
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  static const fuzz::MemoryFolder folder;
  const std::string path = folder.write("model.safetensors", fuzz::text_of(data, size));
  const bool strict = fuzz::accepted([&] { fuzz::check(read_safetensors(path)); });
  std::vector<UnsupportedTensor> unsupported;
  const bool lenient = fuzz::accepted([&] { fuzz::check(read_safetensors(path, nullptr, &unsupported)); });
  fuzz::require(lenient || !strict, "what is read strictly is read leniently");
  fuzz::require(!strict || unsupported.empty(), "a file that is read whole holds nothing that cannot be read");
  SafetensorsMetadata metadata;
  const bool with_metadata = fuzz::accepted([&] { fuzz::check(read_safetensors(path, &metadata)); });
  fuzz::require(strict || !with_metadata, "metadata makes no file readable");
  return 0;
}
