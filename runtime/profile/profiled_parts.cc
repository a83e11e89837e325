// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/runtime/profile/profiled_parts.h>

namespace lazuli {

std::vector<ProfiledPart> parts_of(const ProfiledNode& node) {
  if (!node.parts.empty()) return node.parts;
  ProfiledPart whole;
  whole.op = node.op;
  whole.scope = node.scope;
  whole.kernel = node.kernel;
  whole.isa = node.isa;
  whole.kind = node.kind;
  whole.arithmetic = node.arithmetic;
  whole.us = node.us;
  whole.wall_us = node.wall_us;
  whole.bytes = node.bytes;
  whole.weight_bytes = node.weight_bytes;
  whole.operations = node.operations;
  return {std::move(whole)};
}

std::string shares_of_parts(const ProfiledNode& node) {
  std::string text;
  for (const ProfiledPart& part : node.parts)
    text += fmt::format("{}{} {:.1f} %", text.empty() ? "" : ", ", part.op, node.us > 0 ? 100 * part.us / node.us : 0);
  return text;
}

}  // namespace lazuli
