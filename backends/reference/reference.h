// SPDX-License-Identifier: MIT
// The oracle: runs any well-typed graph node by node with plain loops, one obvious function an op. Real arithmetic is
// done in double and rounded once to the node's dtype; integers are exact and wrap around. It fuses nothing, uses one
// thread and never writes into its inputs, so that other backends can be compared with it.
#pragma once

#include <lazuli/backends/backend.h>

#include <memory>

namespace lazuli {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace lazuli
