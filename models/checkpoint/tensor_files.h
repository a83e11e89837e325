// SPDX-License-Identifier: MIT
// Which files of a checkpoint folder hold its tensors.
//
// The shards that model.safetensors.index.json lists, where they are all there. An index may be older than the files:
// where shards are missing, model.safetensors serves, or a complete set NAME-00001-of-0000N.safetensors, as they do
// without an index. Of a set that an index lists in part, all files are read.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lazuli {

class CheckpointFolder;

struct TensorFiles {
  std::vector<std::string> names;  // of files in the folder
  std::map<std::string, std::string>
      placed;        // by the index, where it is used: tensors, and the files it says have them
  std::string note;  // why the index is not used
};

// Throws an Error that names the folder, and the files that are missing.
TensorFiles find_tensor_files(const CheckpointFolder& folder);

}  // namespace lazuli
