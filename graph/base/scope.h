// SPDX-License-Identifier: MIT
// Named scopes: every node made inside carries the path, "layers.3.mlp", through passes, listings, errors and profiles.
#pragma once

#include <lazuli/graph/base/export.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lazuli {

class LAZULI_API Scope {
 public:
  using Ref = std::shared_ptr<const std::string>;  // null: no scope

  explicit Scope(std::string_view name);             // "mlp"
  Scope(std::string_view name, std::int64_t index);  // "layers", 3
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  static Ref current();
  // " (in layers.3.mlp)", or "" outside any scope: the tail of error texts.
  static std::string where(const Ref& scope);

 private:
  Ref previous_;
};

}  // namespace lazuli
