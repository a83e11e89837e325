// SPDX-License-Identifier: MIT
// The safetensors container: u64 header length, a JSON header {name: {dtype, shape, data_offsets}}, then the data
// (huggingface/safetensors, format specification).
#pragma once

#include <lazuli/graph/array.h>

#include <map>
#include <span>
#include <string>
#include <vector>

namespace lazuli {

using SafetensorsMetadata = std::map<std::string, std::string>;  // "__metadata__" of the header

// A tensor of a dtype that no array has.
struct UnsupportedTensor {
  std::string name, dtype;
  Shape shape;
};

// All tensors of a file, as constants that view the mapped file; the metadata too, where `metadata` is given. F8 types
// are read as u8. Throws an Error that names the file, the tensor, the byte offset, what was found and what was
// expected; tensors of other dtypes are errors too, unless they can be listed in `unsupported`.
std::map<std::string, Array> read_safetensors(const std::string& path, SafetensorsMetadata* metadata = nullptr,
                                              std::vector<UnsupportedTensor>* unsupported = nullptr);

struct SafetensorsEntry {
  std::string name;
  Type type;
};
// What stands before the data, which must follow tensor by tensor in the order of `entries`, without gaps, as it lies
// in memory. The data begins at a multiple of `alignment`, itself one of 8. Throws an Error for dtypes the format does
// not have.
std::string safetensors_header(std::span<const SafetensorsEntry> entries, const SafetensorsMetadata& metadata = {},
                               std::size_t alignment = 8);
bool has_safetensors_name(DType dtype);

}  // namespace lazuli
