// SPDX-License-Identifier: MIT
// From a path to a model.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/models/model.h>
#include <lazuli/models/model_options.h>

#include <memory>
#include <string>

namespace lazuli {

// MODEL is a GGUF file, or a folder with config.json and safetensors. Throws an Error that names the file, and what in
// it is missing, unknown or malformed.
LAZULI_API std::unique_ptr<LanguageModel> load_model(const std::string& path, const ModelOptions& options = {});

}  // namespace lazuli
