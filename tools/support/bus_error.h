// SPDX-License-Identifier: MIT
// Files are mapped: one that is cut short while it is in use, or whose disk fails, shows as SIGBUS where it is read.
#pragma once

namespace lazuli::tool {

// From here on that ends the process with status 1 and a line that names the file.
void report_bus_errors();

}  // namespace lazuli::tool
