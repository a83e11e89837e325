// SPDX-License-Identifier: MIT
// What holds for every tokenizer, whatever vocabulary it was made of, and every text.
#pragma once

#include <lazuli/models/text/tokenizer.h>

#include <memory>
#include <string_view>

namespace lazuli::fuzz {

// Ids lie in the vocabulary and decode; decoding token by token gives the same; where markers are to be spelled, none
// comes out.
void check_tokenizer(const std::shared_ptr<const Tokenizer>& tokenizer, std::string_view text);

}  // namespace lazuli::fuzz
