// SPDX-License-Identifier: MIT
// Numbers of a configuration of which the formulas take a root, a logarithm or the inverse: with any other, a model
// would compute NaN and say nothing.
#pragma once

#include <lazuli/graph/base/fail.h>

#include <cmath>
#include <initializer_list>
#include <string>

namespace lazuli {

struct NamedNumber {
  const char* name;
  double value;
};

// Throws an Error that names `source` and the number. As f32, which is what they are computed with.
inline void require_positive(const std::string& source, std::initializer_list<NamedNumber> numbers) {
  for (const auto& [name, value] : numbers)
    if (const auto used = static_cast<float>(value); !(std::isfinite(used) && used > 0))
      fail_file("{}: {} is {}; expected a positive number", source, name, value);
}
// The same where 0 stands for none.
inline void require_not_negative(const std::string& source, std::initializer_list<NamedNumber> numbers) {
  for (const auto& [name, value] : numbers)
    if (const auto used = static_cast<float>(value); !(std::isfinite(used) && used >= 0))
      fail_file("{}: {} is {}; expected 0 or more", source, name, value);
}

}  // namespace lazuli
