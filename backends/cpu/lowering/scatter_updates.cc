// SPDX-License-Identifier: MIT
#include <lazuli/backends/cpu/lowering/scatter_updates.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/half.h>

#include <cmath>
#include <cstring>
#include <type_traits>

namespace lazuli::cpu {
namespace {

// Elements in memory, and the type they are computed in.
template <class T>
struct Plain {
  using Word = T;
  static T value(T word) { return word; }
  static T word(T value) { return value; }
};
struct Half {
  using Word = std::uint16_t;
  static float value(Word word) { return f16_to_f32(word); }
  static Word word(float value) { return f32_to_f16(value); }
};
struct Brain {
  using Word = std::uint16_t;
  static float value(Word word) { return bf16_to_f32(word); }
  static Word word(float value) { return f32_to_bf16(value); }
};

// Integers keep the low bits, as the ops of these names do; NaN wins.
struct Add {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
    else
      return a + b;
  }
};
struct Multiply {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
    else
      return a * b;
  }
};
struct Larger {
  template <class T>
  static T of(T a, T b) {
    return a != a || a >= b ? a : b;
  }
};
struct Smaller {
  template <class T>
  static T of(T a, T b) {
    return a != a || a <= b ? a : b;
  }
};

template <class Type, class Reduction>
void apply(std::byte* to, const std::byte* from, std::int64_t count) {
  using Word = typename Type::Word;
  auto* target = reinterpret_cast<Word*>(to);
  const auto* update = reinterpret_cast<const Word*>(from);
  for (std::int64_t i = 0; i < count; ++i)
    target[i] = Type::word(Reduction::of(Type::value(target[i]), Type::value(update[i])));
}

template <std::size_t bytes>
void replace(std::byte* to, const std::byte* from, std::int64_t count) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * bytes);
}

Apply replacing(std::int64_t element_bytes) {
  switch (element_bytes) {
    case 1:
      return replace<1>;
    case 2:
      return replace<2>;
    case 4:
      return replace<4>;
    default:
      return replace<8>;
  }
}

template <class Reduction>
Apply reducing(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return apply<Plain<float>, Reduction>;
    case DType::f16:
      return apply<Half, Reduction>;
    case DType::bf16:
      return apply<Brain, Reduction>;
    case DType::i8:
      return apply<Plain<std::int8_t>, Reduction>;
    case DType::u8:
      return apply<Plain<std::uint8_t>, Reduction>;
    case DType::i16:
      return apply<Plain<std::int16_t>, Reduction>;
    case DType::u16:
      return apply<Plain<std::uint16_t>, Reduction>;
    case DType::i32:
      return apply<Plain<std::int32_t>, Reduction>;
    case DType::u32:
      return apply<Plain<std::uint32_t>, Reduction>;
    case DType::i64:
      return apply<Plain<std::int64_t>, Reduction>;
    case DType::u64:
      return apply<Plain<std::uint64_t>, Reduction>;
    case DType::f64:
      return apply<Plain<double>, Reduction>;
    default:
      fail_internal("scatter: {} has no arithmetic", to_string(dtype));
  }
}

}  // namespace

Apply apply_of(std::string_view reduction, DType dtype) {
  if (reduction == "replace") return replacing(info(dtype).block_bytes);
  if (reduction == "add") return reducing<Add>(dtype);
  if (reduction == "mul") return reducing<Multiply>(dtype);
  if (reduction == "max") return reducing<Larger>(dtype);
  if (reduction == "min") return reducing<Smaller>(dtype);
  fail_internal("scatter: unknown reduction '{}'", reduction);
}

}  // namespace lazuli::cpu
