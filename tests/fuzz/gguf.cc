// SPDX-License-Identifier: MIT
// GGUF files: the header, every value as every type, and all data of all tensors. The bytes are the fuzzer's own block,
// behind which nothing may be read.
#include <lazuli/models/checkpoint/gguf.h>
#include <lazuli/tests/fuzz/fuzzing.h>

#include <algorithm>

namespace lazuli::fuzz {
namespace {

constexpr std::size_t most_values = 24;  // of which each is read in 24 ways

template <class T>
void read_as(const GgufFile& file, const GgufValue& value) {
  accepted([&] { file.get<T>(value.key); });
  accepted([&] { file.find_array<T>(value.key); });
  accepted([&] {
    const std::size_t count = file.get_each<T>(value.key, 3).size();
    require(count == 3, "a value per layer is one for each");
  });
}

void read_values(const GgufFile& file) {
  const std::span<const GgufValue> values = file.metadata();
  for (const GgufValue& value : values.first(std::min(values.size(), most_values))) {
    read_as<bool>(file, value);
    read_as<std::int32_t>(file, value);
    read_as<std::uint32_t>(file, value);
    read_as<std::int64_t>(file, value);
    read_as<std::uint64_t>(file, value);
    read_as<float>(file, value);
    read_as<double>(file, value);
    read_as<std::string_view>(file, value);
    read_all(value.bytes);
  }
}

void read_tensors(const GgufFile& file) {
  for (const GgufTensor& tensor : file.tensors()) {
    require(file.find_tensor(tensor.name) == &tensor, "a tensor is found by its name");
    require(tensor.bytes == static_cast<std::uint64_t>(byte_size(tensor.dtype, element_count(tensor.shape))),
            "a tensor has the bytes of its type");
    read_all({tensor.buffer->data(), static_cast<std::size_t>(tensor.bytes)});
    tensor.buffer->release_pages();
  }
  for (const GgufUnsupportedTensor& tensor : file.unsupported_tensors())
    require(!accepted([&] { file.tensor(tensor.name); }), "tensors of unknown types are refused");
}

}  // namespace
}  // namespace lazuli::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lazuli;
  fuzz::accepted([&] {
    const GgufFile file = GgufFile::parse("model.gguf", std::as_bytes(std::span(data, size)), nullptr);
    fuzz::read_values(file);
    fuzz::read_tensors(file);
  });
  return 0;
}
