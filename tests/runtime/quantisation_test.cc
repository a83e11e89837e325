// SPDX-License-Identifier: MIT
// quantise and dequantise in sessions: the blocks are those of the one encoder, whatever the threads, and what reads
// them reads them.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/files/graph_file.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/ops/quantisation.h>
#include <lazuli/graph/text/text.h>
#include <lazuli/graph/types/quantised.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/launches.h>
#include <lazuli/tests/support/paths.h>
#include <lazuli/tests/support/run_reference.h>
#include <lazuli/tests/support/safetensors_writer.h>

#include <cstring>
#include <limits>

namespace lazuli {
namespace {

using test::caught;
using test::error_of;

SessionOptions options(int threads, const char* fusion = "all") {
  SessionOptions options;
  options.threads = threads;
  options.fusion = fusion;
  return options;
}

std::vector<DType> quantised_dtypes(bool encodable) {
  std::vector<DType> dtypes;
  for (const DTypeInfo& type : all_dtypes())
    if (type.kind == DTypeKind::quantised && (!encodable || has_quantiser(type.dtype))) dtypes.push_back(type.dtype);
  return dtypes;
}

std::string bytes_of(const Array& array) {
  return {reinterpret_cast<const char*>(array.bytes()), static_cast<std::size_t>(array.type().bytes())};
}

std::vector<float> random_values(const Shape& shape, std::uint32_t seed) {
  const Type type{DType::f32, shape};
  const BufferRef buffer = test::random_buffer(type, seed);
  return {buffer->as<float>(), buffer->as<float>() + type.elements()};
}

std::string encoded(DType dtype, const std::vector<float>& values) {
  const auto elements = static_cast<std::int64_t>(values.size());
  std::string bytes(static_cast<std::size_t>(byte_size(dtype, elements)), '\0');
  quantise(dtype, values.data(), elements, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

Array random_blocks(DType dtype, const Shape& shape, std::uint32_t seed) {
  const Type type{dtype, shape};
  return Array::from(test::random_buffer(type, seed), type);
}

TEST(Quantisation, GivesTheBlocksOfTheEncoder) {
  for (const int threads : {1, 2, 3, 8}) {
    const Session session(options(threads));
    for (const DType dtype : quantised_dtypes(true))
      for (const Shape& shape : {Shape{0, 256}, Shape{1, 256}, Shape{3, 256}, Shape{7, 512}, Shape{256}, Shape{3, 0},
                                 Shape{2, 0, 256}, Shape{2, 3, 256}}) {
        const std::vector<float> values = random_values(shape, 7);
        const Array blocks = quantise(Array::from(values, shape), dtype);
        EXPECT_EQ(blocks.type(), (Type{dtype, shape}));
        EXPECT_TRUE(bytes_of(blocks) == encoded(dtype, values))
            << fmt::format("{} on {} threads", to_string(blocks.type()), threads);
      }
  }
}

// Many rows divide by rows, a few long ones by pieces of them.
TEST(Quantisation, AnyNumberOfThreadsGivesTheSameBits) {
  for (const Shape& shape : {Shape{301, 512}, Shape{1, 100'000 / 256 * 256}, Shape{3, 40'960 + 256}}) {
    const std::vector<float> values = random_values(shape, 3);
    for (const DType dtype : {q8_0, q4_0, q6_k, nvfp4, affine4_64, affine3_128}) {
      const std::string expected = encoded(dtype, values);
      std::vector<float> decoded(values.size());
      dequantise(dtype, reinterpret_cast<const std::byte*>(expected.data()), static_cast<std::int64_t>(values.size()),
                 decoded.data());
      for (const int threads : {1, 2, 3, 8})
        for (const char* fusion : {"all", "none"}) {
          const Session session(options(threads, fusion));
          const Array blocks = quantise(Array::from(values, shape), dtype), back = dequantise(blocks);
          eval({blocks, back});
          EXPECT_TRUE(bytes_of(blocks) == expected) << to_string(dtype) << ", " << threads << " threads, " << fusion;
          EXPECT_EQ(std::memcmp(back.data<float>().data(), decoded.data(), decoded.size() * sizeof(float)), 0)
              << to_string(dtype) << ", " << threads << " threads, " << fusion;
        }
    }
  }
}

// Between elementwise work, in one row chain or apart.
TEST(Quantisation, FusesWithItsNeighbours) {
  const std::vector<float> values = random_values({300, 256}, 5);
  std::string expected;
  for (const char* fusion : {"none", "all"})
    for (const int threads : {1, 2, 8}) {
      const Session session(options(threads, fusion));
      const Array x = Array::from(values, {300, 256});
      const Array y = tanh(dequantise(quantise(exp(x) * 0.5f, q8_0), bf16)) + 1.0f;
      EXPECT_EQ(y.dtype(), bf16);
      const std::string found = bytes_of(y);
      if (expected.empty()) expected = found;
      EXPECT_TRUE(found == expected) << fusion << ", " << threads << " threads";
    }
}

TEST(Quantisation, SixteenBitOperandsAreReadAsTheyAre) {
  const Session session(options(2));
  const std::vector<float> values = random_values({5, 64}, 9);
  for (const DType dtype : {f16, bf16}) {
    const Array x = cast(Array::from(values, {5, 64}), dtype);
    EXPECT_TRUE(bytes_of(quantise(x, q4_0)) == bytes_of(quantise(cast(x, f32), q4_0))) << to_string(dtype);
  }
}

TEST(Quantisation, OperandsThatLieOtherwise) {
  const Session session(options(2));
  const Array x = Array::from(random_values({64, 6}, 4), {64, 6});
  const auto same = [](const Array& view) {
    const Array copy =
        Array::from(std::vector<float>(view.data<float>().begin(), view.data<float>().end()), view.shape());
    return bytes_of(quantise(view, q8_0)) == bytes_of(quantise(copy, q8_0));
  };
  EXPECT_TRUE(same(transpose(x, {1, 0})));
  EXPECT_TRUE(same(slice(transpose(x, {1, 0}), {1, 32}, {6, 64}, {2, 1})));
  EXPECT_TRUE(same(broadcast_to(Array::from(random_values({32}, 2), {32}), {3, 32})));
}

TEST(Dequantisation, GivesTheValuesOfEveryDtype) {
  for (const int threads : {1, 3}) {
    const Session session(options(threads));
    for (const DType dtype : quantised_dtypes(false))
      for (const Shape& shape : {Shape{0, 256}, Shape{1, 256}, Shape{3, 256}, Shape{7, 512}, Shape{256}, Shape{4, 0}}) {
        const Array blocks = random_blocks(dtype, shape, 11);
        const Array values = dequantise(blocks);
        EXPECT_EQ(values.type(), (Type{DType::f32, shape}));
        std::vector<float> expected(static_cast<std::size_t>(values.type().elements()));
        dequantise(dtype, blocks.bytes(), values.type().elements(), expected.data());
        const auto found = values.data<float>();
        ASSERT_EQ(found.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(found[i], expected[i]) << to_string(blocks.type());
      }
  }
}

TEST(Dequantisation, ToOtherRealDtypes) {
  const Session session(options(2));
  const Array blocks = random_blocks(q5_1, {3, 64}, 1);
  for (const DType dtype : {f16, bf16, f64}) {
    const Array values = dequantise(blocks, dtype);
    EXPECT_EQ(values.dtype(), dtype);
    EXPECT_TRUE(bytes_of(values) == bytes_of(cast(dequantise(blocks), dtype))) << to_string(dtype);
  }
  EXPECT_EQ(dequantise(blocks, f32).dtype(), f32);
}

TEST(Quantisation, SliceUpdateWritesTheSameBlocks) {
  const Session session(options(2));
  for (const DType dtype : {q8_0, q4_0, affine8_32}) {
    const Array rows = Array::from(random_values({4, 64}, 6), {4, 64});
    const Array cache = random_blocks(dtype, {4, 64}, 8);
    EXPECT_TRUE(bytes_of(slice_update(cache, rows, 0, 0)) == bytes_of(quantise(rows, dtype))) << to_string(dtype);
  }
}

TEST(Quantisation, TakeReadsWhatTheRunQuantised) {
  const Session session(options(2));
  const Array x = Array::from(random_values({5, 64}, 6), {5, 64});
  const Array indices = Array::from(std::vector<std::int32_t>{4, 0, 4}, {3});
  EXPECT_TRUE(bytes_of(take(quantise(x, q4_1), indices, 0)) ==
              bytes_of(take(dequantise(quantise(x, q4_1)), indices, 0)));
}

// Caches of q8_0 that a program makes itself.
TEST(Quantisation, AttentionReadsWhatTheRunQuantised) {
  const Session session(options(2));
  const Array q = Array::from(random_values({2, 2, 32}, 1), {2, 2, 32});
  const Array k = Array::from(random_values({8, 1, 32}, 2), {8, 1, 32}),
              v = Array::from(random_values({8, 1, 32}, 3), {8, 1, 32});
  const Array positions = Array::from(std::vector<std::int32_t>{6, 7}, {2});
  const Array k8 = quantise(k, q8_0), v8 = quantise(v, q8_0);
  const Array found = attention(q, k8, v8, positions, 8, {.scale = 0.2});
  const Array expected = attention(q, dequantise(k8), dequantise(v8), positions, 8, {.scale = 0.2});
  EXPECT_TRUE(bytes_of(found) == bytes_of(expected));
}

Array constant_of(const std::vector<float>& values, const Shape& shape) {
  const Type type{DType::f32, shape};
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::copy(values.begin(), values.end(), buffer->as<float>());
  return Array::constant(std::move(buffer), type, "w");
}

// The weight is encoded when the program is made, and meets the kernels of its dtype.
TEST(Quantisation, OfAConstantIsFolded) {
  Session session(options(2));
  const std::vector<float> values = random_values({48, 256}, 21);
  const Array x = Array::from(random_values({3, 256}, 22), {3, 256});
  for (const DType dtype : quantised_dtypes(true)) {
    const std::string blocks = encoded(dtype, values);
    BufferRef buffer = Buffer::allocate(blocks.size());
    std::memcpy(buffer->data(), blocks.data(), blocks.size());
    const Array stored = Array::constant(std::move(buffer), {dtype, {48, 256}}, "stored");
    const Array weight = quantise(constant_of(values, {48, 256}), dtype);
    EXPECT_TRUE(bytes_of(linear(x, weight)) == bytes_of(linear(x, stored))) << to_string(dtype);
    EXPECT_EQ(test::launches(session, {linear(x, quantise(constant_of(values, {48, 256}), dtype))}),
              test::launches(session, {linear(x, stored)}))
        << to_string(dtype);
  }
}

// A weight that is no constant is decoded group by group: the product is that with the dequantised weight.
TEST(Quantisation, LinearTakesWeightsOfTheRun) {
  for (const int threads : {1, 2, 8}) {
    const Session session(options(threads));
    for (const DType dtype : quantised_dtypes(false))
      for (const std::int64_t outputs : {1, 16, 50}) {
        const Array weight = random_blocks(dtype, {outputs, 256}, 31);
        for (const std::int64_t rows : {0, 1, 3, 17}) {
          const Array x = Array::from(random_values({rows, 256}, 32), {rows, 256});
          EXPECT_TRUE(bytes_of(linear(x, weight)) == bytes_of(linear(x, dequantise(weight))))
              << fmt::format("{} rows, weight {}, {} threads", rows, to_string(weight.type()), threads);
        }
      }
  }
}

TEST(Quantisation, LinearOfOtherDtypesTakesWeightsOfTheRun) {
  const Session session(options(2));
  const Array x = Array::from(random_values({5, 64}, 1), {5, 64}),
              w = Array::from(random_values({40, 64}, 2), {40, 64});
  for (const DType dtype : {f16, bf16, f64}) {
    const Array y = linear(cast(x, dtype), quantise(w, q5_0));
    EXPECT_EQ(y.dtype(), dtype);
    EXPECT_TRUE(bytes_of(y) == bytes_of(linear(cast(x, dtype), dequantise(quantise(w, q5_0))))) << to_string(dtype);
  }
}

TEST(Quantisation, LinearTakesEvaluatedBlocks) {
  const Session session(options(2));
  const Array x = Array::from(random_values({3, 64}, 1), {3, 64}), w = Array::from(random_values({8, 64}, 2), {8, 64});
  const Array made = linear(x, quantise(w, q8_0)), blocks = quantise(w, q8_0);
  eval({blocks});
  EXPECT_TRUE(bytes_of(made) == bytes_of(linear(x, blocks)));
  const std::string stored = bytes_of(blocks);
  BufferRef buffer = Buffer::allocate(stored.size());
  std::memcpy(buffer->data(), stored.data(), stored.size());
  const Array weight = Array::constant(std::move(buffer), {q8_0, {8, 64}}, "stored");
  EXPECT_TRUE(bytes_of(linear(x, constant(blocks))) == bytes_of(linear(x, weight))) << "a constant has its kernels";
}

TEST(Quantisation, ExpertsTakeNoWeightOfTheRun) {
  const Session session(options(2));
  const Array w = Array::from(random_values({2, 8, 64}, 2), {2, 8, 64});
  const auto refused =
      caught<CompileError>([&] { eval({expert_linear(full({1, 1, 64}, 1), quantise(w, q8_0), zeros({1, 1}, i32))}); });
  ASSERT_TRUE(refused);
  EXPECT_NE(std::string(refused->what()).find("a quantised weight must be a constant; dequantise it, or make it one"),
            std::string::npos)
      << refused->what();
}

TEST(Quantisation, RefusesWhatDoesNotFit) {
  const auto of = [](DType dtype, Shape shape) { return placeholder({dtype, std::move(shape)}); };
  EXPECT_EQ(error_of([&] { quantise(of(f32, {3, 33}), q8_0); }),
            "quantise: operand 0 is f32[3,33], expected a last axis of whole blocks of 32");
  EXPECT_EQ(error_of([&] { quantise(of(f32, {2, 128}), q4_k); }),
            "quantise: operand 0 is f32[2,128], expected a last axis of whole blocks of 256");
  EXPECT_EQ(error_of([&] { quantise(of(f32, {}), q8_0); }),
            "quantise: operand 0 is f32[], expected a last axis of whole blocks of 32");
  EXPECT_EQ(error_of([&] { quantise(of(f32, {2, 32}), f16); }),
            "quantise: cannot encode to f16, expected a quantised dtype with a quantiser");
  EXPECT_EQ(error_of([&] { quantise(of(f32, {2, 32}), mxfp4); }),
            "quantise: cannot encode to mxfp4, expected a quantised dtype with a quantiser");
  EXPECT_EQ(error_of([&] { quantise(of(f64, {2, 32}), q8_0); }),
            "quantise: operand 0 is f64[2,32], expected a real dtype of at most 32 bits (f32, f16, bf16)");
  EXPECT_EQ(error_of([&] { quantise(of(q8_0, {2, 32}), q4_0); }),
            "quantise: operand 0 is q8_0[2,32], expected a real dtype of at most 32 bits (f32, f16, bf16)");
  EXPECT_EQ(error_of([&] { dequantise(of(f32, {2, 32})); }),
            "dequantise: operand 0 is f32[2,32], expected a quantised dtype");
  EXPECT_EQ(error_of([&] { dequantise(of(q8_0, {2, 32}), i32); }), "dequantise: dtype is i32, expected a real one");
  EXPECT_EQ(error_of([&] { cast(of(f32, {2, 32}), q8_0); }), "cast: cannot cast to q8_0; quantise encodes blocks");
  const auto shape = caught([&] { quantise(of(f32, {3, 33}), q8_0); });
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->details().kind, ErrorKind::shape);
  EXPECT_EQ(shape->details().op, "quantise");
  EXPECT_EQ(shape->details().expected, "a last axis of whole blocks of 32");
  EXPECT_EQ(shape->details().found, "f32[3,33]");
}

TEST(Quantisation, TextAndFilesBringItBack) {
  const Session session(options(2));
  const CompiledFunction function = compile([](const std::vector<Array>& in) {
    const Array blocks = quantise(in[0], affine4_64);
    return std::vector<Array>{blocks, dequantise(blocks, f16)};
  });
  const std::vector<Array> arguments{Array::from(random_values({3, 128}, 5), {3, 128})};
  const std::string text = to_text(function.graph(arguments));
  EXPECT_NE(text.find("quantise %0 {dtype=affine4_64} : affine4_64[3,128]"), std::string::npos) << text;
  EXPECT_EQ(to_text(parse_graph(text)), text);
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/quantise.lzg";
  save(function, arguments, path);
  const std::vector<Array> found = load(path)(arguments), expected = function(arguments);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(found[i].type(), expected[i].type());
    EXPECT_TRUE(bytes_of(found[i]) == bytes_of(expected[i])) << i;
  }
}

}  // namespace
}  // namespace lazuli
