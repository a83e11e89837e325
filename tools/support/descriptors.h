// SPDX-License-Identifier: MIT
// Standard input, output and error as whoever started the process left them.
#pragma once

namespace lazuli::tool {

// Before any file is opened: occupies those of 0, 1 and 2 that are closed by what can neither be read nor written.
// Otherwise the next file that is opened would take the number, and what is meant for a terminal land in it.
void occupy_closed_descriptors();

}  // namespace lazuli::tool
