// SPDX-License-Identifier: MIT
// Names of what is written beside its place, to be renamed when it is complete.
#pragma once

#include <functional>
#include <string>

namespace lazuli {

// A name beside `path` for what is to take its place, made by `create`, which returns false with errno set where it
// fails. Names that exist are passed over: a process that died may have left some, and its number be this one's. Empty
// where it fails for another reason; errno tells. It is noted as unfinished (unfinished.h) until it is forgotten.
std::string make_temporary(const std::string& path, const std::function<bool(const char* name)>& create);
// It has taken its name, or is removed.
void forget_temporary(const std::string& name);

}  // namespace lazuli
