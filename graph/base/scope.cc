// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/scope.h>

#include <utility>

namespace lazuli {
namespace {
thread_local Scope::Ref current_scope;
}

Scope::Scope(std::string_view name) : previous_(current_scope) {
  current_scope =
      std::make_shared<const std::string>(previous_ ? fmt::format("{}.{}", *previous_, name) : std::string(name));
}

Scope::Scope(std::string_view name, std::int64_t index) : Scope(fmt::format("{}.{}", name, index)) {}

Scope::~Scope() { current_scope = std::move(previous_); }

Scope::Ref Scope::current() { return current_scope; }

std::string Scope::where(const Ref& scope) { return scope ? fmt::format(" (in {})", *scope) : std::string(); }

}  // namespace lazuli
