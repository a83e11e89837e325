// SPDX-License-Identifier: MIT
// What a thread does before it writes into a value that nobody else holds any more.
#pragma once

#include <lazuli/graph/array.h>

namespace lazuli {

// Dropping a reference, as the parameter's end does, orders this thread behind those that read the value and dropped
// theirs: a count that is only read does not.
inline void order_behind_readers(NodeRef) {}

}  // namespace lazuli
