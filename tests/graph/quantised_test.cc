// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/array.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/graph/base/scope.h>
#include <lazuli/graph/types/half.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/tests/support/error_of.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace lazuli {
namespace {

// Blocks are put together byte by byte at an odd address, so that alignment assumptions show under a sanitizer.
class Bytes {
 public:
  Bytes& u8(int value, int times = 1) {
    bytes_.insert(bytes_.end(), static_cast<std::size_t>(times), static_cast<std::byte>(value));
    return *this;
  }
  Bytes& half(float value) {
    const std::uint16_t bits = f32_to_f16(value);
    return u8(bits & 255).u8(bits >> 8);
  }
  Bytes& real(float value) {
    std::uint8_t raw[4];
    std::memcpy(raw, &value, 4);
    return u8(raw[0]).u8(raw[1]).u8(raw[2]).u8(raw[3]);
  }
  std::size_t size() const { return bytes_.size(); }

  std::vector<float> decode(DType dtype, std::int64_t elements) const {
    EXPECT_EQ(static_cast<std::int64_t>(bytes_.size()), byte_size(dtype, elements));
    std::vector<std::byte> shifted(bytes_.size() + 1);
    std::memcpy(shifted.data() + 1, bytes_.data(), bytes_.size());
    std::vector<float> out(static_cast<std::size_t>(elements), NAN);
    dequantise(dtype, shifted.data() + 1, elements, out.data());
    return out;
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(Dequantise, PlainRealTypes) {
  EXPECT_EQ(Bytes().u8(0).u8(0).u8(0xc0).u8(0x3f).decode(f32, 1), (std::vector<float>{1.5f}));
  EXPECT_EQ(Bytes().half(-2.5f).half(65504.0f).decode(f16, 2), (std::vector<float>{-2.5f, 65504.0f}));
  EXPECT_EQ(Bytes().u8(0x80).u8(0x3f).u8(0x00).u8(0xc0).decode(bf16, 2), (std::vector<float>{1.0f, -2.0f}));
}

TEST(Dequantise, Q4_0SplitsHalves) {
  const auto x = Bytes().half(0.5f).u8(0xf0).u8(0x19, 15).decode(q4_0, 32);
  EXPECT_EQ(x[0], -4.0f);   // (0 - 8) / 2
  EXPECT_EQ(x[16], 3.5f);   // (15 - 8) / 2
  EXPECT_EQ(x[1], 0.5f);    // (9 - 8) / 2
  EXPECT_EQ(x[17], -3.5f);  // (1 - 8) / 2
  EXPECT_EQ(x[31], -3.5f);
}

TEST(Dequantise, Q4_1AddsTheMinimum) {
  const auto x = Bytes().half(0.25f).half(-1.0f).u8(0xf0, 16).decode(q4_1, 32);
  EXPECT_EQ(x[0], -1.0f);
  EXPECT_EQ(x[15], -1.0f);
  EXPECT_EQ(x[16], 2.75f);
}

TEST(Dequantise, Q5_0TakesTheFifthBitFromItsWord) {
  // Bits 0, 15 and 31 of qh.
  const auto x = Bytes().half(1.0f).u8(0x01).u8(0x80).u8(0x00).u8(0x80).u8(0x21, 16).decode(q5_0, 32);
  EXPECT_EQ(x[0], 1.0f);    // 1 + 16 - 16
  EXPECT_EQ(x[1], -15.0f);  // 1 - 16
  EXPECT_EQ(x[15], 1.0f);
  EXPECT_EQ(x[16], -14.0f);  // 2 - 16
  EXPECT_EQ(x[31], 2.0f);    // 2 + 16 - 16
}

TEST(Dequantise, Q5_1AddsTheMinimum) {
  const auto x = Bytes().half(2.0f).half(0.5f).u8(0x02).u8(0).u8(0x01).u8(0).u8(0x43, 16).decode(q5_1, 32);
  EXPECT_EQ(x[0], 6.5f);    // 2 * 3 + 0.5
  EXPECT_EQ(x[1], 38.5f);   // 2 * 19 + 0.5
  EXPECT_EQ(x[16], 40.5f);  // 2 * 20 + 0.5
  EXPECT_EQ(x[17], 8.5f);   // 2 * 4 + 0.5
}

TEST(Dequantise, Q8_0IsSigned) {
  const auto x = Bytes().half(0.5f).u8(0x7f).u8(0x80).u8(0xff, 30).decode(q8_0, 32);
  EXPECT_EQ(x[0], 63.5f);
  EXPECT_EQ(x[1], -64.0f);
  EXPECT_EQ(x[31], -0.5f);
}

// Scales 1, 2, 3, 4 and 17, 34, 51, 63; minima 5, 6, 7, 8 and 49, 33, 18, 15, packed by hand:
// bytes 0-3 hold the first scales and the upper bits of the later ones, 4-7 the same of minima, 8-11 the lower bits.
Bytes& k_scales(Bytes& bytes) {
  bytes.u8(1 | 1 << 6).u8(2 | 2 << 6).u8(3 | 3 << 6).u8(4 | 3 << 6);
  bytes.u8(5 | 3 << 6).u8(6 | 2 << 6).u8(7 | 1 << 6).u8(8 | 0 << 6);
  return bytes.u8(1 | 1 << 4).u8(2 | 1 << 4).u8(3 | 2 << 4).u8(15 | 15 << 4);
}
constexpr float k_scale[8] = {1, 2, 3, 4, 17, 34, 51, 63};
constexpr float k_min[8] = {5, 6, 7, 8, 49, 33, 18, 15};

TEST(Dequantise, Q4_KScalesEachSubBlock) {
  Bytes bytes;
  k_scales(bytes.half(0.5f).half(0.25f));
  for (int run = 0; run < 4; ++run) bytes.u8(run | (run + 8) << 4, 32);
  const auto x = bytes.decode(q4_k, 256);
  for (int b = 0; b < 8; ++b) {
    const auto q = static_cast<float>(b / 2 + b % 2 * 8);
    const float expected = 0.5f * k_scale[b] * q - 0.25f * k_min[b];
    EXPECT_EQ(x[static_cast<std::size_t>(32 * b)], expected) << b;
    EXPECT_EQ(x[static_cast<std::size_t>(32 * b + 31)], expected) << b;
  }
}

TEST(Dequantise, Q5_KTakesBitBOfByteLForSubBlockB) {
  Bytes bytes;
  k_scales(bytes.half(0.5f).half(0.25f));
  bytes.u8(0xa5).u8(0, 31);  // element 0 of sub-blocks 0, 2, 5 and 7
  bytes.u8(0x31, 128);
  const auto x = bytes.decode(q5_k, 256);
  for (int b = 0; b < 8; ++b) {
    const int nibble = b % 2 == 0 ? 1 : 3, fifth = (0xa5 >> b & 1) * 16;
    const auto expected = [&](int q) { return 0.5f * k_scale[b] * static_cast<float>(q) - 0.25f * k_min[b]; };
    EXPECT_EQ(x[static_cast<std::size_t>(32 * b)], expected(nibble + fifth)) << b;
    EXPECT_EQ(x[static_cast<std::size_t>(32 * b + 1)], expected(nibble)) << b;
  }
}

TEST(Dequantise, Q6_KTakesQuartersOfHalves) {
  Bytes bytes;
  bytes.u8(0x21, 32).u8(0x43, 32).u8(0x65, 32).u8(0x87, 32);  // ql
  bytes.u8(0xe4, 32).u8(0x1b, 32);                            // qh: quarters 0, 1, 2, 3 and 3, 2, 1, 0
  for (int b = 0; b < 16; ++b) bytes.u8(b - 8);               // scales -8 to 7
  bytes.half(0.5f);
  const auto x = bytes.decode(q6_k, 256);
  const int q[8] = {0x01, 0x13, 0x22, 0x34, 0x35, 0x27, 0x16, 0x08};
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(x[static_cast<std::size_t>(i)], 0.5f * static_cast<float>((i / 16 - 8) * (q[i / 32] - 32))) << i;
}

TEST(Dequantise, Mxfp4DecodesE2M1ByAPowerOfTwo) {
  Bytes bytes;
  bytes.u8(128);
  for (int j = 0; j < 16; ++j) bytes.u8(j | (15 - j) << 4);
  const auto x = bytes.decode(mxfp4, 32);
  const float codes[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0f, -0.5, -1, -1.5, -2, -3, -4, -6};
  for (std::size_t j = 0; j < 16; ++j) {
    EXPECT_EQ(x[j], 2 * codes[j]);
    EXPECT_EQ(x[j + 16], 2 * codes[15 - j]);
  }
  EXPECT_EQ(Bytes().u8(0).u8(0x11, 16).decode(mxfp4, 32)[0], 0x1p-128f);  // subnormal
  EXPECT_EQ(Bytes().u8(254).u8(0x22, 16).decode(mxfp4, 32)[0], 0x1p127f);
}

TEST(Dequantise, Nvfp4ScalesEachSixteen) {
  Bytes bytes;
  bytes.u8(0x38).u8(0x45).u8(0x04).u8(0x7f);  // 1, 2 * 1.625, 4 * 2^-9, NaN read as 0
  for (int s = 0; s < 4; ++s) bytes.u8(0x27, 7).u8(0xf1);
  const auto x = bytes.decode(nvfp4, 64);
  const float scale[4] = {1.0f, 3.25f, 0x1p-7f, 0.0f};
  for (std::size_t s = 0; s < 4; ++s) {
    EXPECT_EQ(x[16 * s], 6 * scale[s]);
    EXPECT_EQ(x[16 * s + 7], 0.5f * scale[s]);
    EXPECT_EQ(x[16 * s + 8], 1 * scale[s]);
    EXPECT_EQ(x[16 * s + 15], -6 * scale[s]);
  }
}

// Codes written into a little-endian stream of bits, one bit at a time.
Bytes affine_block(int bits, float scale, float bias, const std::vector<int>& codes) {
  std::vector<int> stream(codes.size() * static_cast<std::size_t>(bits) / 8);
  for (std::size_t bit = 0; bit < stream.size() * 8; ++bit) {
    const auto width = static_cast<std::size_t>(bits);
    stream[bit / 8] |= (codes[bit / width] >> (bit % width) & 1) << (bit % 8);
  }
  Bytes bytes;
  bytes.real(scale).real(bias);
  for (int byte : stream) bytes.u8(byte);
  return bytes;
}

TEST(Dequantise, AffineReadsEveryWidthAndGroup) {
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int group : {32, 64, 128}) {
      std::vector<int> codes;
      for (int i = 0; i < group; ++i) codes.push_back((i * 37 + i / 8) % (1 << bits));
      const DType dtype = *parse_dtype(fmt::format("affine{}_{}", bits, group));
      const auto x = affine_block(bits, -0.75f, 3.25f, codes).decode(dtype, group);
      for (std::size_t i = 0; i < codes.size(); ++i)
        ASSERT_EQ(x[i], -0.75f * static_cast<float>(codes[i]) + 3.25f) << to_string(dtype) << ' ' << i;
    }
  }
}

TEST(Dequantise, AffineCodesOfFourBitsAreNeighbours) {
  Bytes bytes;
  bytes.real(1.0f).real(0.0f).u8(0x21).u8(0x43, 15);
  const auto x = bytes.decode(affine4_32, 32);
  EXPECT_EQ(x[0], 1.0f);
  EXPECT_EQ(x[1], 2.0f);
  EXPECT_EQ(x[30], 3.0f);
  EXPECT_EQ(x[31], 4.0f);
}

TEST(Dequantise, Mxfp8DecodesE4M3ByAPowerOfTwo) {
  Bytes bytes;
  bytes.u8(128).u8(0x38).u8(0x7e).u8(0x01).u8(0xb8).u8(0x80).u8(0x7f).u8(0x08, 26);
  const auto x = bytes.decode(mxfp8, 32);
  EXPECT_EQ(x[0], 2.0f);
  EXPECT_EQ(x[1], 896.0f);   // 448, the largest
  EXPECT_EQ(x[2], 0x1p-8f);  // the smallest, 2^-9
  EXPECT_EQ(x[3], -2.0f);
  EXPECT_EQ(x[4], 0.0f);
  EXPECT_TRUE(std::signbit(x[4]));
  EXPECT_TRUE(std::isnan(x[5]));
  EXPECT_EQ(x[6], 0x1p-5f);  // the smallest normal, 2^-6
  EXPECT_EQ(Bytes().u8(0).u8(0x38, 32).decode(mxfp8, 32)[0], 0x1p-127f);
}

TEST(Dequantise, E2m1TakesNeighboursAndAnF32Scale) {
  Bytes bytes;
  bytes.real(0.3f).u8(0x21).u8(0xf7).u8(0, 6);
  const auto x = bytes.decode(e2m1_16, 16);
  EXPECT_EQ(x[0], 0.5f * 0.3f);
  EXPECT_EQ(x[1], 1.0f * 0.3f);
  EXPECT_EQ(x[2], 6.0f * 0.3f);
  EXPECT_EQ(x[3], -6.0f * 0.3f);
  EXPECT_EQ(x[15], 0.0f);
}

// A mixture of sizes and signs that is the same everywhere.
std::vector<float> sample(std::size_t count) {
  std::vector<float> values(count);
  std::uint32_t state = 12345;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const float uniform = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
    values[i] = uniform * (1.0f + static_cast<float>(i / 64 % 4));
  }
  return values;
}

struct RoundTrip {
  DType dtype;
  // Relative to the largest magnitude, 4: half a step of a block's range, plus the scales' rounding. The affine types
  // take a whole step: theirs ends short of the range's smaller end by up to that.
  float tolerance;
};

class QuantiseRoundTrip : public testing::TestWithParam<RoundTrip> {};

TEST_P(QuantiseRoundTrip, StaysWithinItsStep) {
  const auto [dtype, tolerance] = GetParam();
  const std::vector<float> values = sample(2048);
  std::vector<std::byte> blocks(static_cast<std::size_t>(byte_size(dtype, 2048)) + 1);
  quantise(dtype, values.data(), 2048, blocks.data() + 1);
  std::vector<float> back(2048);
  dequantise(dtype, blocks.data() + 1, 2048, back.data());
  for (std::size_t i = 0; i < 2048; ++i) EXPECT_NEAR(back[i], values[i], 4.0f * tolerance) << i;

  // What was decoded decodes to itself after another trip where the type keeps exact multiples of its own scale.
  if (dtype == f32 || dtype == f16 || dtype == bf16) {
    std::vector<std::byte> again(blocks.size());
    quantise(dtype, back.data(), 2048, again.data() + 1);
    EXPECT_EQ(blocks, again);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryType, QuantiseRoundTrip,
                         testing::Values(RoundTrip{f32, 0.0f}, RoundTrip{f16, 0.0005f}, RoundTrip{bf16, 0.004f},
                                         RoundTrip{q4_0, 0.126f}, RoundTrip{q4_1, 0.068f}, RoundTrip{q5_0, 0.063f},
                                         RoundTrip{q5_1, 0.034f}, RoundTrip{q8_0, 0.0042f}, RoundTrip{q4_k, 0.085f},
                                         RoundTrip{q5_k, 0.05f}, RoundTrip{q6_k, 0.035f}, RoundTrip{nvfp4, 0.2f},
                                         RoundTrip{affine2_64, 0.67f}, RoundTrip{affine3_32, 0.29f},
                                         RoundTrip{affine4_64, 0.135f}, RoundTrip{affine5_128, 0.065f},
                                         RoundTrip{affine6_64, 0.036f}, RoundTrip{affine8_64, 0.012f}),
                         [](const auto& info) { return std::string(to_string(info.param.dtype)); });

TEST(Quantise, ZeroBlocksStayZero) {
  const std::vector<float> zeros(256, 0.0f);
  for (const DType dtype :
       {f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k, nvfp4, affine4_64, affine8_64}) {
    std::vector<std::byte> blocks(static_cast<std::size_t>(byte_size(dtype, 256)), std::byte{0xff});
    std::vector<float> back(256, 1.0f);
    quantise(dtype, zeros.data(), 256, blocks.data());
    dequantise(dtype, blocks.data(), 256, back.data());
    EXPECT_EQ(back, zeros) << to_string(dtype);
  }
}

TEST(Quantise, Q8_0KeepsMultiplesOfItsScale) {
  std::vector<float> values(32);
  for (int j = 0; j < 32; ++j) values[static_cast<std::size_t>(j)] = 0.5f * static_cast<float>(j * 8 - 127);
  values[31] = 63.5f;
  std::vector<std::byte> blocks(34);
  std::vector<float> back(32);
  quantise(q8_0, values.data(), 32, blocks.data());
  dequantise(q8_0, blocks.data(), 32, back.data());
  EXPECT_EQ(back, values);
}

TEST(Quantise, Q8_0RoundsHalvesAwayFromZero) {
  std::vector<float> values(32, 0.0f), back(32), again(32);
  values[0] = 127;  // a scale of 1
  const float given[] = {0.5f, -0.5f, 1.5f, 2.5f, -2.5f, 0x1.fffffep-2f, 3.49f}, expected[] = {1, -1, 2, 3, -3, 0, 3};
  std::copy(std::begin(given), std::end(given), values.begin() + 1);
  std::vector<std::byte> blocks(34), blocks_again(34);
  quantise(q8_0, values.data(), 32, blocks.data());
  dequantise(q8_0, blocks.data(), 32, back.data());
  for (std::size_t i = 0; i < std::size(given); ++i) EXPECT_EQ(back[i + 1], expected[i]) << given[i];
}

// Caches move rows by decoding and encoding them.
TEST(Quantise, Q8_0IsStable) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int exponent = -60; exponent < 24; ++exponent) {
    std::vector<float> values(256), once(256), twice(256);
    for (float& value : values) value = std::ldexp(normal(random), exponent);
    std::vector<std::byte> blocks(272), blocks_again(272);
    quantise(q8_0, values.data(), 256, blocks.data());
    dequantise(q8_0, blocks.data(), 256, once.data());
    quantise(q8_0, once.data(), 256, blocks_again.data());
    EXPECT_EQ(blocks, blocks_again) << "2^" << exponent;
  }
}

TEST(Quantise, Q8_0TakesAnyValue) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto decoded = [](float one) {
    std::vector<float> values(32, 1.0f);
    values[7] = one;
    std::vector<std::byte> blocks(34);
    quantise(q8_0, values.data(), 32, blocks.data());
    dequantise(q8_0, blocks.data(), 32, values.data());
    return values;
  };
  for (const float bad : {infinity, -infinity, nan, -nan, 1e30f, 65520.0f * 127})
    for (const float value : decoded(bad)) EXPECT_TRUE(std::isnan(value)) << bad;
  for (const float value : decoded(-8e6f)) EXPECT_TRUE(std::isfinite(value));
  std::vector<float> tiny(32, 1e-40f);
  std::vector<std::byte> blocks(34);
  quantise(q8_0, tiny.data(), 32, blocks.data());
  EXPECT_EQ(blocks, std::vector<std::byte>(34));
}

TEST(Quantise, BlocksOfWhatIsNoNumberAreNaN) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const DTypeInfo& type : all_dtypes()) {
    if (type.kind != DTypeKind::quantised || !has_quantiser(type.dtype) || type.dtype == nvfp4) continue;
    const auto count = static_cast<std::size_t>(type.block_elements);
    const bool is_affine = type.name.starts_with("affine");
    for (const float bad : {infinity, -infinity, nan, -nan, is_affine ? 3e38f : 1e30f}) {
      std::vector<float> values(2 * count, 1.0f), back(2 * count);
      values[1] = bad;
      if (std::isfinite(bad)) values[2] = -bad;  // a range that no scale holds
      std::vector<std::byte> blocks(2 * static_cast<std::size_t>(type.block_bytes));
      quantise(type.dtype, values.data(), static_cast<std::int64_t>(values.size()), blocks.data());
      dequantise(type.dtype, blocks.data(), static_cast<std::int64_t>(values.size()), back.data());
      for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(std::isnan(back[i])) << type.name << " of " << bad;
      for (std::size_t i = count; i < 2 * count; ++i) EXPECT_TRUE(std::isfinite(back[i])) << type.name << " beside it";
    }
  }
}

TEST(Quantise, Nvfp4HasNoNaN) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> values(64, 0.0f), back(64);
  values[0] = std::numeric_limits<float>::quiet_NaN();
  values[16] = infinity;
  values[32] = -1e30f;
  std::vector<std::byte> blocks(36);
  quantise(nvfp4, values.data(), 64, blocks.data());
  dequantise(nvfp4, blocks.data(), 64, back.data());
  EXPECT_EQ(back[0], 0.0f);
  EXPECT_EQ(back[16], 2688.0f);
  EXPECT_EQ(back[32], -2688.0f);
}

// So small that the reciprocal of a block's scale is no float: all of it is zero.
TEST(Quantise, TinyBlocksAreZero) {
  for (const DTypeInfo& type : all_dtypes()) {
    if (type.kind != DTypeKind::quantised || !has_quantiser(type.dtype)) continue;
    std::vector<float> values(256, 0.0f), back(256);
    values[3] = 1e-40f;
    values[200] = -1e-40f;
    std::vector<std::byte> blocks(static_cast<std::size_t>(byte_size(type.dtype, 256)));
    quantise(type.dtype, values.data(), 256, blocks.data());
    dequantise(type.dtype, blocks.data(), 256, back.data());
    for (const float value : back) EXPECT_NEAR(value, 0.0f, 1e-6f) << type.name;
  }
}

// Scales 1.5, 0.25, 2^-9 (the smallest that is not 0) and 448 (the largest): what the codes say exactly comes back.
TEST(Quantise, Nvfp4KeepsMultiplesOfItsScales) {
  const float scales[] = {1.5f, 0.25f, 0x1p-9f, 448.0f}, codes[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  std::vector<float> values(64);
  for (std::size_t i = 0; i < 64; ++i) values[i] = scales[i / 16] * codes[i % 8] * (i % 16 < 8 ? 1.0f : -1.0f);
  std::vector<std::byte> blocks(36);
  std::vector<float> back(64);
  quantise(nvfp4, values.data(), 64, blocks.data());
  dequantise(nvfp4, blocks.data(), 64, back.data());
  EXPECT_EQ(back, values);
}

TEST(Quantise, AffineKeepsTheLargerEndAndZero) {
  std::vector<float> values(64);
  for (int i = 0; i < 64; ++i) values[static_cast<std::size_t>(i)] = 0.5f * static_cast<float>(i % 16 - 10);
  for (const float sign : {1.0f, -1.0f}) {
    for (float& value : values) value *= sign;
    std::vector<std::byte> blocks(40);
    std::vector<float> back(64);
    quantise(affine4_64, values.data(), 64, blocks.data());
    dequantise(affine4_64, blocks.data(), 64, back.data());
    EXPECT_EQ(back, values) << sign;
  }
}

std::string conversion_error(DType dtype, std::int64_t elements, bool quantising) {
  std::vector<std::byte> blocks(1024);
  std::vector<float> values(1024);
  return test::error_of([&] {
    if (quantising)
      quantise(dtype, values.data(), elements, blocks.data());
    else
      dequantise(dtype, blocks.data(), elements, values.data());
  });
}

// A row that ends within a block would share that block with the next one.
TEST(Quantised, RowsAreWholeBlocksWhereArraysAreMade) {
  for (const DTypeInfo& dtype : all_dtypes()) {
    if (!is_quantised(dtype.dtype)) continue;
    const std::int64_t block = dtype.block_elements;
    for (const Shape& shape : {Shape{}, Shape{block - 1}, Shape{2 * block, block / 2}, Shape{2, block, block + 1}}) {
      const Type type{dtype.dtype, shape};
      const BufferRef data = Buffer::allocate(1 << 20);
      const std::string expected =
          fmt::format("the type is {}, expected a last axis of whole blocks of {} (in layer)", to_string(type), block);
      const Scope scope("layer");
      EXPECT_EQ(test::error_of([&] { Array::constant(data, type, "w"); }), "constant w: " + expected);
      EXPECT_EQ(test::error_of([&] { Array::from(data, type); }), "input: " + expected);
      EXPECT_EQ(test::error_of([&] { placeholder(type); }), "input: " + expected);
    }
    for (const Shape& shape : {Shape{block}, Shape{3, 2 * block}, Shape{0, block}, Shape{3, 0}})
      EXPECT_NO_THROW(Array::constant(Buffer::allocate(1 << 20), {dtype.dtype, shape}, "w"));
  }
}

TEST(Quantise, RefusesPartialBlocksAndOtherTypes) {
  EXPECT_EQ(conversion_error(q4_k, 128, false), "dequantise: 128 elements, expected a multiple of q4_k's block of 256");
  EXPECT_EQ(conversion_error(q8_0, -32, false), "dequantise: -32 elements, expected a multiple of q8_0's block of 32");
  EXPECT_EQ(conversion_error(i32, 4, false), "dequantise: found i32, expected a real or quantised type");
  EXPECT_EQ(conversion_error(bool_, 4, true), "quantise: found bool, expected a real or quantised type");
  EXPECT_EQ(conversion_error(mxfp4, 32, true), "quantise: there is no quantiser for mxfp4");
  EXPECT_EQ(conversion_error(mxfp8, 32, true), "quantise: there is no quantiser for mxfp8");
}

}  // namespace
}  // namespace lazuli
