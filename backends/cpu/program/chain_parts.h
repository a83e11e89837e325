// SPDX-License-Identifier: MIT
// What profiles say of the members of a chain.
#pragma once

#include <lazuli/backends/cpu/program/chain.h>

#include <span>
#include <vector>

namespace lazuli::cpu {

// The parts of a step: those of a chain, otherwise the step itself.
std::vector<Part> parts_of(const Step& step);

// The parts of all members, in their order. Buffers of `inner` are no memory traffic.
std::vector<Part> parts_of(const std::vector<ChainMember>& members, const std::vector<int>& inner,
                           std::span<const BufferInfo> buffers);

// What the lengths of one run leave out of all parts together; empty where no part says.
std::function<Skipped(const Memory& memory)> skipped_by(const std::vector<Part>& parts);

}  // namespace lazuli::cpu
