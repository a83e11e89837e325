// SPDX-License-Identifier: MIT
// Elements become unsigned keys of the same order. Their places go with them and decide between equal keys, so that
// any way of sorting gives the same result.
#include <lazuli/backends/cpu/kernels/rows/sort.h>

#include <algorithm>
#include <array>
#include <vector>

namespace lazuli {
namespace {

// Below so many elements, comparing beats passes over digits.
constexpr std::size_t shortest_by_digits = 512;

template <class Bits>
constexpr Bits sign_bit = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));

// IEEE 754 numbers of the same width as Bits: `infinity` is its positive one.
template <class Bits, Bits infinity>
struct RealKey {
  using Stored = Bits;
  static Bits of(Bits bits) {
    const auto magnitude = static_cast<Bits>(bits & static_cast<Bits>(~sign_bit<Bits>));
    if (magnitude > infinity) return static_cast<Bits>(~Bits{0});
    if (magnitude == 0) return sign_bit<Bits>;
    return static_cast<Bits>(bits == magnitude ? bits | sign_bit<Bits> : ~bits);
  }
};
template <class Bits>
struct SignedKey {
  using Stored = Bits;
  static Bits of(Bits bits) { return static_cast<Bits>(bits ^ sign_bit<Bits>); }
};
template <class Bits>
struct UnsignedKey {
  using Stored = Bits;
  static Bits of(Bits bits) { return bits; }
};
struct BoolKey {
  using Stored = std::uint8_t;
  static std::uint8_t of(std::uint8_t stored) { return stored != 0; }
};

template <class Bits>
struct Entry {
  Bits key;
  std::uint32_t place;

  bool operator<(const Entry& other) const { return key != other.key ? key < other.key : place < other.place; }
};

// By 8 bits at a time, the lowest first; a pass keeps the order of equal digits.
template <class Bits>
void sort_by_digits(std::vector<Entry<Bits>>& entries, std::vector<Entry<Bits>>& spare) {
  spare.resize(entries.size());
  for (std::size_t shift = 0; shift < 8 * sizeof(Bits); shift += 8) {
    const auto digit = [shift](const Entry<Bits>& entry) {
      return static_cast<std::size_t>(entry.key >> shift) & 0xffu;
    };
    std::array<std::size_t, 257> first{};
    for (const Entry<Bits>& entry : entries) ++first[digit(entry) + 1];
    if (first[digit(entries[0]) + 1] == entries.size()) continue;
    for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
    for (const Entry<Bits>& entry : entries) spare[first[digit(entry)]++] = entry;
    entries.swap(spare);
  }
}

template <class Key>
void sort(const std::byte* rows, std::int64_t columns, std::int64_t begin, std::int64_t end, std::byte* values,
          std::int32_t* indices) {
  using Stored = typename Key::Stored;
  const auto count = static_cast<std::size_t>(columns);
  std::vector<Entry<Stored>> entries(count), spare;
  for (std::int64_t row = begin; row < end; ++row) {
    const auto* stored = reinterpret_cast<const Stored*>(rows) + row * columns;
    for (std::size_t i = 0; i < count; ++i) entries[i] = {Key::of(stored[i]), static_cast<std::uint32_t>(i)};
    if (count < shortest_by_digits)
      std::sort(entries.begin(), entries.end());
    else
      sort_by_digits(entries, spare);
    if (values) {
      auto* sorted = reinterpret_cast<Stored*>(values) + row * columns;
      for (std::size_t i = 0; i < count; ++i) sorted[i] = stored[entries[i].place];
    }
    if (indices)
      for (std::size_t i = 0; i < count; ++i)
        indices[row * columns + static_cast<std::int64_t>(i)] = static_cast<std::int32_t>(entries[i].place);
  }
}

}  // namespace

SortRows sort_rows(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return sort<RealKey<std::uint32_t, 0x7f800000>>;
    case DType::f16:
      return sort<RealKey<std::uint16_t, 0x7c00>>;
    case DType::bf16:
      return sort<RealKey<std::uint16_t, 0x7f80>>;
    case DType::f64:
      return sort<RealKey<std::uint64_t, 0x7ff0000000000000>>;
    case DType::i8:
      return sort<SignedKey<std::uint8_t>>;
    case DType::i16:
      return sort<SignedKey<std::uint16_t>>;
    case DType::i32:
      return sort<SignedKey<std::uint32_t>>;
    case DType::i64:
      return sort<SignedKey<std::uint64_t>>;
    case DType::u8:
      return sort<UnsignedKey<std::uint8_t>>;
    case DType::u16:
      return sort<UnsignedKey<std::uint16_t>>;
    case DType::u32:
      return sort<UnsignedKey<std::uint32_t>>;
    case DType::u64:
      return sort<UnsignedKey<std::uint64_t>>;
    case DType::bool_:
      return sort<BoolKey>;
    default:
      return nullptr;
  }
}

}  // namespace lazuli
