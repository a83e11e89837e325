// SPDX-License-Identifier: MIT
// Equal bits: of two results of one type. NaNs are equal, whatever their sign and payload, which nothing promises; of
// blocks whose bytes differ what they stand for is compared so.
#pragma once

#include <lazuli/graph/buffer.h>
#include <lazuli/graph/types/shape.h>

#include <optional>
#include <string>
#include <vector>

namespace lazuli::fuzz {

struct Difference {
  std::size_t output = 0;
  std::int64_t element = 0;  // the first that differs, in row-major order
  double expected = 0, found = 0;
  std::string note;  // where it is no difference of two elements
};
std::string to_string(const Difference& difference);

std::optional<Difference> first_difference(const std::vector<Type>& types, const std::vector<BufferRef>& expected,
                                           const std::vector<BufferRef>& found);

}  // namespace lazuli::fuzz
