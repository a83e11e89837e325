// SPDX-License-Identifier: MIT
// The parts of a split GGUF model, up to four, joined to one file in the order given.
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/tests/fuzz/fuzzing.h>

#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  fuzz::accepted([&] {
    std::vector<GgufFile> parts;
    for (const std::string_view bytes : fuzz::parts_of(fuzz::text_of(data, size), 4))
      if (!bytes.empty())
        parts.push_back(GgufFile::parse("model.gguf", std::as_bytes(std::span(bytes.data(), bytes.size())), nullptr));
    if (parts.empty()) return;
    const GgufFile whole = GgufFile::join(std::move(parts));
    for (const GgufTensor& tensor : whole.tensors()) {
      fuzz::require(tensor.part < whole.part_names().size(), "a tensor lies in one of the parts");
      fuzz::read_all({tensor.buffer->data(), static_cast<std::size_t>(tensor.bytes)});
    }
    for (const GgufUnsupportedTensor& tensor : whole.unsupported_tensors())
      fuzz::require(whole.find_shape(tensor.name) != nullptr, "a tensor is found by its name");
  });
  return 0;
}
