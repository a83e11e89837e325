// SPDX-License-Identifier: MIT
// The tokens that structure what a Gemma model reads: begin and end of texts and turns, channels, tools, media.
#pragma once

#include <string_view>

namespace lazuli {

struct Vocabulary;

// Whether a text is such a token's in one of the families: what somebody writes must not become one in a conversation.
bool is_marker(std::string_view text);

// Gives markers the types that they have in published files, whatever a converter called them.
void restore_markers(Vocabulary& vocabulary);

}  // namespace lazuli
