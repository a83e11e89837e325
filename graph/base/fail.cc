// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/scope.h>
#include <lazuli/graph/base/source_location.h>

namespace lazuli {

ErrorDetails built_here(ErrorDetails details) {
  if (const Scope::Ref scope = Scope::current()) details.scope = *scope;
  details.source = source_of(current_call_stack());
  return details;
}

}  // namespace lazuli
