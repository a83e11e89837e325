// SPDX-License-Identifier: MIT
// Memory for code that is not ours and ends the process where it finds none.
#pragma once

#include <cstddef>

namespace lazuli {

// Throws std::bad_alloc where so many bytes cannot be had now. They are given back at once, for the foreign code to
// take: another thread may be quicker, but whoever is at the limit of its memory learns of it here.
void reserve_for_foreign_code(std::size_t bytes);

}  // namespace lazuli
