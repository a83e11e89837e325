// SPDX-License-Identifier: MIT
// What happens to a checkpoint that was accepted, short of computing: its weights are hashed and read as a backend does
// before the first run, its tokenizer encodes, and the graph of a step is built.
#pragma once

#include <lazuli/models/model.h>

namespace lazuli::fuzz {

void use_model(const LanguageModel& model);

}  // namespace lazuli::fuzz
