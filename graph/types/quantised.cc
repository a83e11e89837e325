// SPDX-License-Identifier: MIT
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/types/block_layouts.h>
#include <lazuli/graph/types/block_size.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace lazuli {
namespace {

using namespace blocks;

// E2M1 codes, doubled so that they are integers; scales are halved in turn (and then never overflow f32).
constexpr std::array<float, 16> doubled_e2m1 = {0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12};

// ---- dequantise, one block each ----

void decode(const F32Block& block, float* out) { *out = block.x; }
void decode(const F16Block& block, float* out) { *out = f16_to_f32(block.x); }
void decode(const Bf16Block& block, float* out) { *out = bf16_to_f32(block.x); }

// The 32-element types: element j is the low nibble of byte j, element j + 16 its high nibble.
void decode(const Q4_0Block& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(low(block.qs[j]) - 8);
    out[j + 16] = d * static_cast<float>(high(block.qs[j]) - 8);
  }
}

void decode(const Q4_1Block& block, float* out) {
  const float d = f16_to_f32(block.d), m = f16_to_f32(block.m);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(low(block.qs[j])) + m;
    out[j + 16] = d * static_cast<float>(high(block.qs[j])) + m;
  }
}

void decode(const Q5_0Block& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((low(block.qs[j]) | fifth_bit(block.qh, j)) - 16);
    out[j + 16] = d * static_cast<float>((high(block.qs[j]) | fifth_bit(block.qh, j + 16)) - 16);
  }
}

void decode(const Q5_1Block& block, float* out) {
  const float d = f16_to_f32(block.d), m = f16_to_f32(block.m);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(low(block.qs[j]) | fifth_bit(block.qh, j)) + m;
    out[j + 16] = d * static_cast<float>(high(block.qs[j]) | fifth_bit(block.qh, j + 16)) + m;
  }
}

void decode(const Q8_0Block& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(block.qs[j]);
}

// q4_k and q5_k: run r of 32 bytes holds sub-block 2r in its low and 2r + 1 in its high nibbles.
int nibble(const uint8_t (&qs)[128], int sub_block, int l) {
  const uint8_t byte = qs[sub_block / 2 * 32 + l];
  return sub_block % 2 == 0 ? low(byte) : high(byte);
}

void decode(const Q4_KBlock& block, float* out) {
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  for (int b = 0; b < 8; ++b) {
    const auto [scale, min] = unpack_scale(block.scales, b);
    const float step = d * static_cast<float>(scale), offset = dmin * static_cast<float>(min);
    for (int l = 0; l < 32; ++l) *out++ = step * static_cast<float>(nibble(block.qs, b, l)) - offset;
  }
}

void decode(const Q5_KBlock& block, float* out) {
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  for (int b = 0; b < 8; ++b) {
    const auto [scale, min] = unpack_scale(block.scales, b);
    const float step = d * static_cast<float>(scale), offset = dmin * static_cast<float>(min);
    for (int l = 0; l < 32; ++l) {
      const int q = nibble(block.qs, b, l) | (block.qh[l] >> b & 1) << 4;
      *out++ = step * static_cast<float>(q) - offset;
    }
  }
}

void decode(const Q6_KBlock& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (int i = 0; i < 256; ++i) {
    const Q6Place at = q6_place(i);
    const int q = (block.ql[at.low_byte] >> at.low_shift & 15) | (block.qh[at.high_byte] >> at.high_shift & 3) << 4;
    const float step = d * static_cast<float>(block.scales[i / 16]);
    out[i] = step * static_cast<float>(q - 32);
  }
}

void decode(const Mxfp4Block& block, float* out) {
  const float half_scale = std::ldexp(1.0f, block.e - 128);
  for (int j = 0; j < 16; ++j) {
    out[j] = doubled_e2m1[low(block.qs[j])] * half_scale;
    out[j + 16] = doubled_e2m1[high(block.qs[j])] * half_scale;
  }
}

// Unsigned E4M3 with bias 7; ggml reads the NaN code as 0 and ignores the sign bit.
float ue4m3_to_f32(uint8_t bits) {
  if (bits == 0x7f) return 0.0f;
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

void decode(const Nvfp4Block& block, float* out) {
  for (int s = 0; s < 4; ++s) {
    const float half_scale = ue4m3_to_f32(block.d[s]) * 0.5f;
    for (int j = 0; j < 8; ++j) {
      out[16 * s + j] = doubled_e2m1[low(block.qs[8 * s + j])] * half_scale;
      out[16 * s + j + 8] = doubled_e2m1[high(block.qs[8 * s + j])] * half_scale;
    }
  }
}

template <int bits, int elements>
void decode(const AffineBlock<bits, elements>& block, float* out) {
  constexpr int bytes = elements * bits / 8, mask = (1 << bits) - 1;
  for (int i = 0; i < elements; ++i) {
    const int byte = i * bits / 8, shift = i * bits % 8;
    const int above = shift + bits > 8 && byte + 1 < bytes ? block.codes[byte + 1] << 8 : 0;
    out[i] = block.scale * static_cast<float>((block.codes[byte] | above) >> shift & mask) + block.bias;
  }
}

// E4M3 with bias 7 (OCP 8-bit floating point, 2023): no infinities, and NaN when all bits but the sign are set.
float e4m3_to_f32(uint8_t bits) {
  const float magnitude = (bits & 0x7f) == 0x7f ? std::numeric_limits<float>::quiet_NaN() : ue4m3_to_f32(bits);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

void decode(const Mxfp8Block& block, float* out) {
  const float scale = std::ldexp(1.0f, block.e - 127);
  for (int j = 0; j < 32; ++j) out[j] = e4m3_to_f32(block.codes[j]) * scale;
}

void decode(const E2m1Block& block, float* out) {
  for (int j = 0; j < 8; ++j) {
    out[2 * j] = doubled_e2m1[low(block.codes[j])] * 0.5f * block.scale;
    out[2 * j + 1] = doubled_e2m1[high(block.codes[j])] * 0.5f * block.scale;
  }
}

// ---- quantise, one block each ----

// 0 of what is so small that no float holds it: all codes are then those of zero.
float reciprocal(float x) {
  const float inverse = 1.0f / x;
  return std::isinf(inverse) ? 0.0f : inverse;
}

// The value of largest magnitude, with its sign; the first of equals. The magnitude is kept beside the value: clang 19
// at -O3 picks wrong ones where it is computed from it anew.
float signed_extreme(const float* x, int n) {
  float extreme = 0.0f, largest = 0.0f;
  for (int j = 0; j < n; ++j) {
    const float magnitude = std::fabs(x[j]);
    extreme = magnitude > largest ? x[j] : extreme;
    largest = magnitude > largest ? magnitude : largest;
  }
  return extreme;
}

// NaN becomes the least: there is no int to make of it.
int clip(float x, int least, int most) {
  if (!(x > static_cast<float>(least))) return least;
  return x < static_cast<float>(most) ? static_cast<int>(x) : most;
}

void encode(const float* x, F32Block& block) { block.x = *x; }
void encode(const float* x, F16Block& block) { block.x = f32_to_f16(*x); }
void encode(const float* x, Bf16Block& block) { block.x = f32_to_bf16(*x); }

void encode(const float* x, Q4_0Block& block) {
  const float d = signed_extreme(x, 32) / -8.0f, inverse = reciprocal(d);
  const auto q = [&](int j) { return clip(x[j] * inverse + 8.5f, 0, 15); };
  block.d = f32_to_f16(d);
  for (int j = 0; j < 16; ++j) block.qs[j] = pack_nibbles(q(j), q(j + 16));
}

void encode(const float* x, Q5_0Block& block) {
  const float d = signed_extreme(x, 32) / -16.0f, inverse = reciprocal(d);
  const auto q = [&](int j) { return clip(x[j] * inverse + 16.5f, 0, 31); };
  block.d = f32_to_f16(d);
  for (int j = 0; j < 16; ++j) block.qs[j] = pack_nibbles(q(j) & 15, q(j + 16) & 15);
  for (int j = 0; j < 32; ++j) set_fifth_bit(block.qh, j, q(j));
}

void encode(const float* x, Q4_1Block& block) {
  const auto [min, max] = std::minmax_element(x, x + 32);
  const float m = *min, d = (*max - m) / 15.0f, inverse = reciprocal(d);
  const auto q = [&](int j) { return clip((x[j] - m) * inverse + 0.5f, 0, 15); };
  block.d = f32_to_f16(d);
  block.m = f32_to_f16(m);
  for (int j = 0; j < 16; ++j) block.qs[j] = pack_nibbles(q(j), q(j + 16));
}

void encode(const float* x, Q5_1Block& block) {
  const auto [min, max] = std::minmax_element(x, x + 32);
  const float m = *min, d = (*max - m) / 31.0f, inverse = reciprocal(d);
  const auto q = [&](int j) { return clip((x[j] - m) * inverse + 0.5f, 0, 31); };
  block.d = f32_to_f16(d);
  block.m = f32_to_f16(m);
  for (int j = 0; j < 16; ++j) block.qs[j] = pack_nibbles(q(j) & 15, q(j + 16) & 15);
  for (int j = 0; j < 32; ++j) set_fifth_bit(block.qh, j, q(j));
}

// NaN where one of the values is: as integers, magnitudes stand in the order of their values, and NaN behind all.
float largest_magnitude(const float* x, int n) {
  std::int32_t largest = 0;
  for (int j = 0; j < n; ++j) largest = std::max(largest, std::bit_cast<std::int32_t>(x[j]) & 0x7fffffff);
  return std::bit_cast<float>(largest);
}

// As std::round does, for what fits an int, without a call. Twice what is left of x is exact.
int round_half_away(float x) {
  const int whole = static_cast<int>(x);
  const float rest = x - static_cast<float>(whole);
  return whole + static_cast<int>(rest + rest);
}

void encode(const float* x, Q8_0Block& block) {
  const float d = largest_magnitude(x, 32) / 127.0f;
  block.d = f32_to_f16(d);
  if (block.d >= half_infinity) block.d = half_nan;
  if (block.d == 0 || block.d == half_nan) return;  // every code says the same
  const float inverse = 1.0f / d;
  for (int j = 0; j < 32; ++j) block.qs[j] = static_cast<std::int8_t>(round_half_away(x[j] * inverse));
}

// q4_k and q5_k: fills d, dmin and scales so that codes 0..most span each sub-block's range (which is made to include
// zero, as minima are stored negated and unsigned), and calls put(sub_block, l, code) for every element.
template <class Block, class Put>
void encode_sub_blocks(const float* x, int most, Block& block, Put put) {
  float steps[8], offsets[8];
  for (int b = 0; b < 8; ++b) {
    const auto [min, max] = std::minmax_element(x + 32 * b, x + 32 * b + 32);
    offsets[b] = -std::min(*min, 0.0f);
    steps[b] = (std::max(*max, 0.0f) + offsets[b]) / static_cast<float>(most);
  }
  block.d = f32_to_f16(*std::max_element(steps, steps + 8) / 63.0f);
  block.dmin = f32_to_f16(*std::max_element(offsets, offsets + 8) / 63.0f);
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  for (int b = 0; b < 8; ++b) {
    const ScaleMin packed = {clip(std::round(steps[b] * reciprocal(d)), 0, 63),
                             clip(std::round(offsets[b] * reciprocal(dmin)), 0, 63)};
    pack_scale(block.scales, b, packed);
    const float inverse = reciprocal(d * static_cast<float>(packed.scale));
    const float offset = dmin * static_cast<float>(packed.min);
    for (int l = 0; l < 32; ++l) put(b, l, clip(std::round((x[32 * b + l] + offset) * inverse), 0, most));
  }
}

void put_nibble(uint8_t (&qs)[128], int sub_block, int l, int q) {
  qs[sub_block / 2 * 32 + l] |= static_cast<uint8_t>(q << (sub_block % 2 * 4));
}

void encode(const float* x, Q4_KBlock& block) {
  encode_sub_blocks(x, 15, block, [&](int b, int l, int q) { put_nibble(block.qs, b, l, q); });
}

void encode(const float* x, Q5_KBlock& block) {
  encode_sub_blocks(x, 31, block, [&](int b, int l, int q) {
    put_nibble(block.qs, b, l, q & 15);
    block.qh[l] |= static_cast<uint8_t>((q >> 4) << b);
  });
}

void encode(const float* x, Q6_KBlock& block) {
  float steps[16];
  for (int b = 0; b < 16; ++b) steps[b] = signed_extreme(x + 16 * b, 16) / -32.0f;
  block.d = f32_to_f16(std::fabs(signed_extreme(steps, 16)) / 127.0f);
  const float d = f16_to_f32(block.d);
  for (int b = 0; b < 16; ++b)
    block.scales[b] = static_cast<std::int8_t>(clip(std::round(steps[b] * reciprocal(d)), -127, 127));
  for (int i = 0; i < 256; ++i) {
    const float inverse = reciprocal(d * static_cast<float>(block.scales[i / 16]));
    const int q = clip(std::round(x[i] * inverse), -32, 31) + 32;
    const Q6Place at = q6_place(i);
    block.ql[at.low_byte] |= static_cast<uint8_t>((q & 15) << at.low_shift);
    block.qh[at.high_byte] |= static_cast<uint8_t>((q >> 4) << at.high_shift);
  }
}

// mlx, ops.cpp: quantize. The end of the range that is larger in magnitude becomes a code's exact value. Scale and bias
// are rounded to bf16, as checkpoints keep them, before codes are chosen.
template <int bits, int elements>
void encode(const float* x, AffineBlock<bits, elements>& block) {
  constexpr float min_scale = 1e-7f;
  constexpr int most = (1 << bits) - 1, bytes = elements * bits / 8;
  const auto [min, max] = std::minmax_element(x, x + elements);
  const bool from_min = std::fabs(*min) > std::fabs(*max);
  const float edge = from_min ? *min : *max, range = std::max((*max - *min) / static_cast<float>(most), min_scale);
  const float scale = from_min ? range : -range, zero = std::round(edge / scale);
  block.scale = bf16_to_f32(f32_to_bf16(zero == 0 ? scale : edge / zero));
  block.bias = zero == 0 ? 0.0f : bf16_to_f32(f32_to_bf16(edge));
  const float inverse = reciprocal(block.scale);
  for (int i = 0; i < elements; ++i) {
    const int code = clip(std::round((x[i] - block.bias) * inverse), 0, most) << (i * bits % 8);
    const int byte = i * bits / 8;
    block.codes[byte] |= static_cast<uint8_t>(code);
    if (byte + 1 < bytes) block.codes[byte + 1] |= static_cast<uint8_t>(code >> 8);
  }
}

// The nearest unsigned E4M3 code; a tie goes to the even one. `x` is not negative; 448 is the largest.
uint8_t f32_to_ue4m3(float x) {
  constexpr float largest = 448.0f, min_normal = 0x1p-6f;
  x = std::min(x, largest);
  if (x < min_normal) return static_cast<uint8_t>(std::nearbyint(x * 0x1p9f));  // 8 is the first normal code
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<uint8_t>((bits + 0x7ffffu + (bits >> 20 & 1u) - (120u << 23)) >> 20);
}

// The nearest E2M1 code; of two equally near the smaller magnitude.
int nearest_e2m1(float x) {
  constexpr float between[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};  // 0, 0.5, 1, 1.5, 2, 3, 4, 6
  const float magnitude = std::fabs(x);
  int code = 0;
  for (const float bound : between) code += magnitude > bound;
  return std::signbit(x) ? code | 8 : code;
}

// mlx, ops.cpp: fp_quantize. The largest magnitude of 16 becomes the largest code, 6.
void encode(const float* x, Nvfp4Block& block) {
  for (int s = 0; s < 4; ++s, x += 16) {
    block.d[s] = f32_to_ue4m3(std::fabs(signed_extreme(x, 16)) / 6.0f);
    const float inverse = reciprocal(ue4m3_to_f32(block.d[s]));
    for (int j = 0; j < 8; ++j)
      block.qs[8 * s + j] = pack_nibbles(nearest_e2m1(x[j] * inverse), nearest_e2m1(x[j + 8] * inverse));
  }
}

// ---- blocks that hold what is no number ----

template <class Block>
concept ScaledByHalf = std::is_same_v<decltype(Block::d), Half>;
template <class Block>
concept ScaledByFloat = std::is_same_v<decltype(Block::scale), float>;

bool is_finite(Half half) { return (half & half_infinity) != half_infinity; }

template <ScaledByHalf Block>
bool has_finite_scales(const Block& block) {
  bool finite = is_finite(block.d);
  if constexpr (requires { block.m; }) finite = finite && is_finite(block.m);
  if constexpr (requires { block.dmin; }) finite = finite && is_finite(block.dmin);
  return finite;
}
template <ScaledByFloat Block>
bool has_finite_scales(const Block& block) {
  return std::isfinite(block.scale) && std::isfinite(block.bias);
}

template <ScaledByHalf Block>
void set_nan(Block& block) {
  block = {};
  block.d = half_nan;
}
template <ScaledByFloat Block>
void set_nan(Block& block) {
  block = {};
  block.scale = std::numeric_limits<float>::quiet_NaN();
}

// q8_0 looks at its values itself, in the one pass that caches can afford.
template <class Block, int elements>
void encode_any(const float* x, Block& block) {
  encode(x, block);
  if constexpr ((ScaledByHalf<Block> || ScaledByFloat<Block>) && !std::is_same_v<Block, Q8_0Block>) {
    const bool finite = largest_magnitude(x, elements) < std::numeric_limits<float>::infinity();
    if (!finite || !has_finite_scales(block)) set_nan(block);
  }
}

// ---- the list ----

template <class Block, int elements>
void decode_blocks(const std::byte* in, std::int64_t blocks, float* out) {
  for (std::int64_t i = 0; i < blocks; ++i, in += sizeof(Block), out += elements) {
    Block block;
    std::memcpy(&block, in, sizeof block);
    decode(block, out);
  }
}

template <class Block, int elements>
void encode_blocks(const float* in, std::int64_t blocks, std::byte* out) {
  for (std::int64_t i = 0; i < blocks; ++i, in += elements, out += sizeof(Block)) {
    Block block{};
    encode_any<Block, elements>(in, block);
    std::memcpy(out, &block, sizeof block);
  }
}

template <class Block>
concept Encodable = std::is_void_v<decltype(encode(std::declval<const float*>(), std::declval<Block&>()))>;

struct Codec {
  DType dtype;
  void (*decode)(const std::byte* in, std::int64_t blocks, float* out);
  void (*encode)(const float* in, std::int64_t blocks, std::byte* out);  // null where there is no quantiser
};

template <DType dtype, class Block>
constexpr Codec codec() {
  static_assert(sizeof(Block) == block_bytes(dtype), "the block's layout differs from graph/dtype.def");
  Codec result{dtype, decode_blocks<Block, block_elements(dtype)>, nullptr};
  if constexpr (Encodable<Block>) result.encode = encode_blocks<Block, block_elements(dtype)>;
  return result;
}

constexpr Codec codecs[] = {
    codec<f32, F32Block>(),     codec<f16, F16Block>(),     codec<bf16, Bf16Block>(),    codec<q4_0, Q4_0Block>(),
    codec<q4_1, Q4_1Block>(),   codec<q5_0, Q5_0Block>(),   codec<q5_1, Q5_1Block>(),    codec<q8_0, Q8_0Block>(),
    codec<q4_k, Q4_KBlock>(),   codec<q5_k, Q5_KBlock>(),   codec<q6_k, Q6_KBlock>(),    codec<mxfp4, Mxfp4Block>(),
    codec<nvfp4, Nvfp4Block>(), codec<mxfp8, Mxfp8Block>(), codec<e2m1_16, E2m1Block>(),
#define LAZULI_AFFINE(name, bits, group) codec<name, AffineBlock<bits, group>>(),
#include <lazuli/graph/types/affine.def>
};

const Codec* find_codec(DType dtype) {
  for (const Codec& entry : codecs)
    if (entry.dtype == dtype) return &entry;
  return nullptr;
}

std::int64_t whole_blocks(const char* operation, DType dtype, std::int64_t elements) {
  const int block = info(dtype).block_elements;
  if (elements < 0 || elements % block != 0)
    fail("{}: {} elements, expected a multiple of {}'s block of {}", operation, elements, to_string(dtype), block);
  return elements / block;
}

}  // namespace

void dequantise(DType dtype, const std::byte* blocks, std::int64_t elements, float* out) {
  const Codec* entry = find_codec(dtype);
  if (entry == nullptr) fail("dequantise: found {}, expected a real or quantised type", to_string(dtype));
  entry->decode(blocks, whole_blocks("dequantise", dtype, elements), out);
}

bool has_quantiser(DType dtype) {
  const Codec* entry = find_codec(dtype);
  return entry != nullptr && entry->encode != nullptr;
}

void quantise(DType dtype, const float* values, std::int64_t elements, std::byte* out) {
  const Codec* entry = find_codec(dtype);
  if (entry == nullptr) fail("quantise: found {}, expected a real or quantised type", to_string(dtype));
  if (entry->encode == nullptr) fail("quantise: there is no quantiser for {}", to_string(dtype));
  entry->encode(values, whole_blocks("quantise", dtype, elements), out);
}

}  // namespace lazuli
