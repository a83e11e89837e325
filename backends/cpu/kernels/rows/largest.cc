// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/kernels/rows/largest.h>
#include <lazuli/graph/types/scalar_value.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

namespace lazuli::cpu {
namespace {

// Keys of so many values are made at once; nearly all blocks hold none that is larger than those found.
constexpr std::int64_t block = 64;

// Signed integers in the order of the values, equal for equal values; NaN has the largest.
std::int32_t key_of(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value + 0.0f);
  const std::int32_t ordered = bits ^ ((bits >> 31) & std::numeric_limits<std::int32_t>::max());
  return value == value ? ordered : std::numeric_limits<std::int32_t>::max();
}
std::int64_t key_of(double value) {
  const auto bits = std::bit_cast<std::int64_t>(value + 0.0);
  const std::int64_t ordered = bits ^ ((bits >> 63) & std::numeric_limits<std::int64_t>::max());
  return value == value ? ordered : std::numeric_limits<std::int64_t>::max();
}
std::int32_t key_of(std::int32_t value) { return value; }
std::int64_t key_of(std::int64_t value) { return value; }
std::int64_t key_of(std::uint64_t value) { return static_cast<std::int64_t>(value ^ (std::uint64_t{1} << 63)); }

template <class Key>
struct Ranked {
  Key key;
  std::int32_t place;

  bool operator<(const Ranked& other) const { return key > other.key || (key == other.key && place < other.place); }
};

// `make_keys(first, count, keys)` makes those of a block.
template <class Key, class MakeKeys>
std::vector<Ranked<Key>> largest_of(std::int64_t columns, std::int64_t count, MakeKeys make_keys) {
  // Room for as many again: what comes in is cut to the largest now and then.
  const auto wanted = static_cast<std::size_t>(count), most = 2 * wanted + block;
  std::vector<Ranked<Key>> found;
  found.reserve(most + 1);
  Key least = 0;
  bool is_cut = false;
  Key keys[block];
  for (std::int64_t first = 0; first < columns; first += block) {
    const std::int64_t size = std::min(block, columns - first);
    make_keys(first, size, keys);
    if (is_cut) {
      Key larger = 0;
      for (std::int64_t i = 0; i < size; ++i) larger |= static_cast<Key>(keys[i] > least);
      if (larger == 0) continue;
    }
    for (std::int64_t i = 0; i < size; ++i) {
      if (is_cut && keys[i] <= least) continue;  // of equal ones the first stay
      found.push_back({keys[i], static_cast<std::int32_t>(first + i)});
      if (found.size() < most) continue;
      std::nth_element(found.begin(), found.begin() + (count - 1), found.end());
      found.resize(wanted);
      least = found.back().key;
      is_cut = true;
    }
  }
  std::partial_sort(found.begin(), found.begin() + count, found.end());
  found.resize(wanted);
  return found;
}

template <class Value>
auto largest_values(const std::byte* row, std::int64_t columns, std::int64_t count) {
  using Key = decltype(key_of(Value{}));
  return largest_of<Key>(columns, count, [row](std::int64_t first, std::int64_t size, Key* keys) {
    Value values[block];
    std::memcpy(values, row + first * static_cast<std::int64_t>(sizeof(Value)),
                static_cast<std::size_t>(size) * sizeof(Value));
    for (std::int64_t i = 0; i < size; ++i) keys[i] = key_of(values[i]);
  });
}

}  // namespace

void find_largest(DType dtype, const std::byte* row, std::int64_t columns, std::int64_t count, std::byte* values,
                  std::int32_t* places) {
  if (count == 0) return;
  const std::int64_t element = info(dtype).block_bytes;
  const auto give = [&](const auto& found) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      places[i] = found[i].place;
      std::memcpy(values + static_cast<std::int64_t>(i) * element, row + places[i] * element,
                  static_cast<std::size_t>(element));
    }
  };
  switch (dtype) {
    case DType::f32:
      return give(largest_values<float>(row, columns, count));
    case DType::f64:
      return give(largest_values<double>(row, columns, count));
    case DType::i32:
      return give(largest_values<std::int32_t>(row, columns, count));
    case DType::i64:
      return give(largest_values<std::int64_t>(row, columns, count));
    case DType::u64:
      return give(largest_values<std::uint64_t>(row, columns, count));
    default:  // doubles tell all others apart
      return give(
          largest_of<std::int64_t>(columns, count, [&](std::int64_t first, std::int64_t size, std::int64_t* keys) {
            for (std::int64_t i = 0; i < size; ++i) keys[i] = key_of(load_scalar(dtype, row + (first + i) * element));
          }));
  }
}

}  // namespace lazuli::cpu
