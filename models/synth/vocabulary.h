// SPDX-License-Identifier: MIT
// A vocabulary laid out as the Gemma families', with made-up words: control tokens, bytes and runs of whitespace at the
// published ids, then words of syllables in merge order, and single characters.
#pragma once

#include <lazuli/models/synth/architecture.h>
#include <lazuli/models/text/tokenizer.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli::synth {

struct Token {
  std::string text;
  TokenType type;
};

// `size` tokens; the first 494 are special, bytes and whitespace. Families differ in the names of their control tokens,
// and in whether merges make runs of whitespace (FamilyFiles).
std::vector<Token> make_vocabulary(Family family, std::int64_t size);

// Every way to put a normal token together from two tokens, "left right", in the order of ids.
std::vector<std::string> make_merges(const std::vector<Token>& tokens);

inline constexpr std::int32_t pad_token = 0, eos_token = 1, bos_token = 2, unknown_token = 3, tool_response_token = 50,
                              end_of_turn_token = 106;

}  // namespace lazuli::synth
