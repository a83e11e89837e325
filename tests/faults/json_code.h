// SPDX-License-Identifier: MIT
#pragma once

namespace lazuli::test {

// Whether the caller was called from nlohmann/json, whose values allocate when they are destroyed: where no memory is
// left at all that ends the process. The library is headers alone, so that its code is known by its symbols.
bool called_from_json();

}  // namespace lazuli::test
