// SPDX-License-Identifier: MIT
// Attention in portable C++, the level that runs everywhere. Products are rounded before they are added.
#include <lazuli/backends/cpu/kernels/attention/attention_parts.h>
#include <lazuli/graph/types/half.h>

#include <bit>

namespace lazuli {
namespace {

struct ScalarLanes {
  struct Register {
    float lane[lanes];
  };
  static constexpr int query_block = 1;
  static constexpr int dot_block = 1;
  static constexpr int value_registers = 1;

  template <class Function>
  static Register each(Function function) {
    Register result;
    for (int i = 0; i < lanes; ++i) result.lane[i] = function(i);
    return result;
  }

  static Register load(const float* from) {
    return each([=](int i) { return from[i]; });
  }
  static Register load(const F16* from) {
    return each([=](int i) { return f16_to_f32(from[i].bits); });
  }
  static Register load(const Bf16* from) {
    return each([=](int i) { return bf16_to_f32(from[i].bits); });
  }
  static Register load(Q8Lanes from) {
    const float scale = f16_to_f32(scale_bits(from));
    return each([=](int i) { return scale * static_cast<float>(static_cast<std::int8_t>(from.codes[i])); });
  }
  static void store(float* to, const Register& a) {
    for (int i = 0; i < lanes; ++i) to[i] = a.lane[i];
  }
  static Register broadcast(float value) {
    return each([=](int) { return value; });
  }
  static float first(const Register& a) { return a.lane[0]; }
  static Register add(const Register& a, const Register& b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static Register subtract(const Register& a, const Register& b) {
    return each([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static Register multiply(const Register& a, const Register& b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static Register multiply_add(const Register& a, const Register& b, const Register& c) {
    return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  // b where a or b is NaN.
  static Register maximum(const Register& a, const Register& b) {
    return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }

  // The lanes [first, end) of a, `other` elsewhere.
  static Register keep(const Register& a, int first, int end, float other) {
    return each([&](int i) { return i >= first && i < end ? a.lane[i] : other; });
  }
  static Register zero_where_below(const Register& a, const Register& x, float limit) {
    return each([&](int i) { return x.lane[i] < limit ? 0.0f : a.lane[i]; });
  }
  // 2 to the integer that the low bits of a hold, with the exponent's bias already in them.
  static Register power_of_two(const Register& a) {
    return each([&](int i) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(a.lane[i]) << 23); });
  }

  static float fold_add(Register a) {
    for (int half = lanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.lane[i] += a.lane[i + half];
    }
    return a.lane[0];
  }
  static float fold_maximum(Register a) {
    for (int half = lanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    }
    return a.lane[0];
  }

  template <int queries, class Elements, class Fetch>
  static void dots(const float* const* q, const Elements* keys, std::int64_t width, float* const* scores, Fetch fetch) {
    static_assert(queries == 1);
    Register sum = broadcast(0.0f);
    for (std::int64_t column = 0; column < width; column += lanes) {
      fetch(0, column);
      sum = multiply_add(load(q[0] + column), load(keys[0] + column), sum);
    }
    scores[0][0] = fold_add(sum);
  }
};

}  // namespace

void attention_scalar(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                      float* scratch) {
  run_units<ScalarLanes>(arguments, unit_begin, unit_end, scratch);
}

void attention_parts_scalar(const AttentionArguments& arguments, std::int64_t unit_begin, std::int64_t unit_end,
                            float* partials, float* scratch) {
  run_parts<ScalarLanes>(arguments, unit_begin, unit_end, partials, scratch);
}

void attention_combine_scalar(const AttentionArguments& arguments, std::int64_t query_begin, std::int64_t query_end,
                              float* partials) {
  combine_parts<ScalarLanes>(arguments, query_begin, query_end, partials);
}

}  // namespace lazuli
