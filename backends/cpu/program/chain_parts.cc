// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/program/chain_parts.h>

#include <algorithm>
#include <iterator>

namespace lazuli::cpu {
namespace {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// The buffers whose bytes count among those of a step: what it reads and the arrays it writes.
std::vector<int> counted_buffers(const Step& step) {
  std::vector<int> counted = step.reads;
  counted.insert(counted.end(), step.writes.begin(), step.writes.begin() + static_cast<std::ptrdiff_t>(step.results));
  return counted;
}

}  // namespace

std::vector<Part> parts_of(const Step& step) {
  if (!step.parts.empty()) return step.parts;
  Part whole;
  whole.op = step.described.name();
  whole.scope = step.described.scope;
  whole.kernels = step.kernels;
  whole.touches = counted_buffers(step);
  whole.bytes = step.bytes;
  whole.weight_bytes = step.weight_bytes;
  whole.operations = step.operations;
  whole.kind = step.kind;
  whole.arithmetic = step.arithmetic;
  whole.skipped = step.skipped;
  whole.sized = step.sized;
  return {std::move(whole)};
}

std::vector<Part> parts_of(const std::vector<ChainMember>& members, const std::vector<int>& inner,
                           std::span<const BufferInfo> buffers) {
  std::vector<Part> all;
  for (const ChainMember& member : members) {
    std::vector<Part> parts = parts_of(member.step);
    // A member that is a chain itself counts a buffer once, whichever of its parts touch it.
    for (const int buffer : counted_buffers(member.step)) {
      if (!contains(inner, buffer)) continue;
      const auto toucher =
          std::find_if(parts.begin(), parts.end(), [&](const Part& part) { return contains(part.touches, buffer); });
      if (toucher != parts.end()) toucher->bytes -= buffers[static_cast<std::size_t>(buffer)].bytes;
    }
    all.insert(all.end(), std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end()));
  }
  return all;
}

std::function<Skipped(const Memory& memory)> skipped_by(const std::vector<Part>& parts) {
  std::vector<std::function<Skipped(const Memory& memory)>> known;
  for (const Part& part : parts)
    if (part.skipped) known.push_back(part.skipped);
  if (known.empty()) return {};
  return [known = std::move(known)](const Memory& memory) {
    Skipped total;
    for (const auto& of_part : known) {
      const Skipped skipped = of_part(memory);
      total.bytes += skipped.bytes;
      total.operations += skipped.operations;
    }
    return total;
  };
}

}  // namespace lazuli::cpu
