// SPDX-License-Identifier: MIT
// What stands inside a node of a picture, and in its tooltip.
#pragma once

#include <lazuli/graph/pictures/dot/drawing.h>

#include <string>

namespace lazuli::dot {

// The lines of a node's HTML-like label: name and attributes, numbers and weights among the operands, what it replaced,
// types, and the note.
std::string node_label(const Drawing& drawing, std::size_t id, const NodeNote& note);

// A quoted string: id and all attributes, scope, sources, and the layers that the picture is of.
std::string node_tooltip(const Drawing& drawing, std::size_t id);

// A number, or a weight's name and type: of what stands inside its readers.
std::string inlined_text(const Drawing& drawing, std::size_t id);

}  // namespace lazuli::dot
