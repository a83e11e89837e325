// SPDX-License-Identifier: MIT
// tokenizer.json of the tokenizers library: BPE with a list of merges, as all Gemma checkpoint folders carry it.
//
// Read are model.vocab, model.merges ("a b" or ["a", "b"]) and added_tokens. bos comes from tokenizer_config.json or
// config.json; the end tokens are those of generation_config.json, or else config.json, and of tokenizer_config.json;
// generation_config.json also says what is never to be generated. Normaliser, pre-tokeniser and decoder are those of
// Gemma, which models/tokenizer.h implements: spaces are written as U+2581, bytes stand in for unknown characters.
#pragma once

#include <lazuli/models/text/tokenizer.h>

#include <memory>

namespace lazuli {

class CheckpointFolder;

// Null when the folder has no tokenizer.json. Throws an Error that names the file and the key that is missing or
// malformed.
std::shared_ptr<const Tokenizer> read_tokenizer_json(const CheckpointFolder& folder);

}  // namespace lazuli
