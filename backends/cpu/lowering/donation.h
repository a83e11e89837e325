// SPDX-License-Identifier: MIT
// Where memory is given up. A donated input, or an intermediate value that nothing reads any more, may become the
// memory of a result: lowering takes memory over here and nowhere else.
#pragma once

#include <lazuli/backends/cpu/lowering/program_builder.h>

#include <initializer_list>

namespace lazuli::cpu {

// Takes the memory of operand `index` for node `id` to write its result into, over the operand. False: it is not ours
// to write, or is still read afterwards or through one of the buffers `also_read` by the node itself.
bool take_over(ProgramBuilder& builder, std::int32_t id, std::size_t index, std::initializer_list<int> also_read);

// Makes a donated input, whose memory holds the value already, result `output` of the program. False: the view is not
// all of a donated input, or another result has taken it.
bool take_as_result(ProgramBuilder& builder, const View& view, std::size_t output);

}  // namespace lazuli::cpu
