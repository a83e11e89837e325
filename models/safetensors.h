// The safetensors container: u64 header length, a JSON header {name: {dtype, shape, data_offsets}}, then the data
// (huggingface/safetensors, format specification).
#pragma once

#include <lazuli/graph/array.h>

#include <map>
#include <string>

namespace lazuli {

// All tensors of a file, as constants that view the mapped file. F8 types are read as u8. Throws an Error that names the
// file, the tensor, the byte offset, what was found and what was expected.
std::map<std::string, Array> read_safetensors(const std::string& path);

}  // namespace lazuli
