// SPDX-License-Identifier: MIT
// Random numbers that are the same on every machine: SplitMix64, Steele et al. 2014.
#pragma once

#include <cstdint>

namespace lazuli::fuzz {

constexpr std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // The stream of this place among others of the same seed.
  Random(std::uint64_t seed, std::uint64_t place, std::uint64_t purpose)
      : state_(mixed(mixed(mixed(seed) + place) + purpose)) {}

  std::uint64_t next() { return mixed(state_ += 0x9e3779b97f4a7c15); }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
  int below(int count) { return static_cast<int>(unit() * count); }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(unit() * static_cast<double>(high - low + 1));
  }
  bool chance(int percent) { return below(100) < percent; }
  template <class List>
  const auto& of(const List& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(std::size(list))))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace lazuli::fuzz
