// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/tests/fuzz/graphs/compare.h>
#include <lazuli/tests/support/run_reference.h>

#include <cmath>
#include <cstring>

namespace lazuli::fuzz {

std::string to_string(const Difference& difference) {
  if (!difference.note.empty()) return difference.note;
  return fmt::format("output {}, element {}: expected {:.17g}, found {:.17g}", difference.output, difference.element,
                     difference.expected, difference.found);
}

namespace {

bool are_same(double a, double b) { return std::isnan(a) ? std::isnan(b) : std::memcmp(&a, &b, sizeof a) == 0; }

std::optional<Difference> difference_in(const Type& type, const Buffer& expected, const Buffer& found) {
  const auto bytes = static_cast<std::size_t>(type.bytes());
  if (std::memcmp(expected.data(), found.data(), bytes) == 0) return std::nullopt;
  const std::vector<double> left = test::values_of(type, expected), right = test::values_of(type, found);
  const auto size = static_cast<std::size_t>(is_quantised(type.dtype) ? 0 : byte_size(type.dtype, 1));
  const bool whole = !is_real(type.dtype) && size > 0;  // doubles may not tell all integers apart
  for (std::size_t i = 0; i < left.size(); ++i) {
    const bool same = whole ? std::memcmp(expected.data() + i * size, found.data() + i * size, size) == 0
                            : are_same(left[i], right[i]);
    if (!same) return Difference{0, static_cast<std::int64_t>(i), left[i], right[i], {}};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Difference> first_difference(const std::vector<Type>& types, const std::vector<BufferRef>& expected,
                                           const std::vector<BufferRef>& found) {
  if (expected.size() != types.size() || found.size() != types.size())
    return Difference{.note = fmt::format("{} outputs, expected {}", found.size(), types.size())};
  for (std::size_t i = 0; i < types.size(); ++i)
    if (std::optional<Difference> difference = difference_in(types[i], *expected[i], *found[i])) {
      difference->output = i;
      return difference;
    }
  return std::nullopt;
}

}  // namespace lazuli::fuzz
