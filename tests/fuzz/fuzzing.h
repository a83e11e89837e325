// SPDX-License-Identifier: MIT
// What all fuzzers share: what may come out of a reader, and how an input is cut into parts.
//
// An Error is the only exception a reader may throw, and never one that says the fault is ours. Any other exception
// passes through, and ends the program as every broken property does.
#pragma once

#include <lazuli/graph/base/error.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What libFuzzer calls with each input. The replay of stored inputs compiles it under the fuzzer's name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace lazuli::fuzz {

[[noreturn]] inline void violated(const char* property, std::string_view found = {}) {
  std::fprintf(stderr, "property does not hold: %s\n%s\n", property, std::string(found).c_str());
  std::abort();
}
inline void require(bool holds, const char* property, std::string_view found = {}) {
  if (!holds) violated(property, found);
}

// Errors are one line; a report on all tensors of a checkpoint is several.
enum class Lines : std::uint8_t { one, several };

inline void check_error(const Error& error, Lines lines) {
  const std::string_view text = error.what();
  require(error.kind() != ErrorKind::internal, "an input is never our own bug", text);
  require(!text.empty(), "an error says something");
  for (const char c : text)
    require(static_cast<unsigned char>(c) >= ' ' || (c == '\n' && lines == Lines::several),
            "an error is one line without control characters", text);
}

// Whether the action went through without an Error.
template <class Action>
bool accepted(Action&& action, Lines lines = Lines::one) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    check_error(error, lines);
    return false;
  }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// An input of several parts: they stand one behind the other with this line between them. Parts that are missing are
// empty; the last takes what is left.
inline constexpr std::string_view part_border = "\n=====\n";
inline std::vector<std::string_view> parts_of(std::string_view input, std::size_t count) {
  std::vector<std::string_view> parts(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t end = i + 1 < count ? input.find(part_border) : input.npos;
    parts[i] = input.substr(0, end);
    input = end == input.npos ? std::string_view() : input.substr(end + part_border.size());
  }
  return parts;
}

// Reads every byte, so that a checker sees those that may not be read.
inline void read_all(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  asm volatile("" : : "r"(sum));
}

}  // namespace lazuli::fuzz
