// SPDX-License-Identifier: MIT
// Text as Graphviz takes it. Names come from files: control characters and bytes that are no UTF-8 become U+FFFD.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace lazuli::dot {

// Text of HTML-like labels.
std::string html(std::string_view text);

// A quoted string; lines are joined by "\\n", empty ones left out.
std::string quoted(std::initializer_list<std::string_view> lines);

// Markup of HTML-like labels. Graphviz rejects markup around nothing, so `text` must not be empty.
std::string bold(std::string_view text);
std::string small(std::string_view text, std::string_view colour);

// "#rrggbb" from white (0, or not a number) over amber to red (1), light enough for dark text.
std::string heat_colour(double heat);

}  // namespace lazuli::dot
