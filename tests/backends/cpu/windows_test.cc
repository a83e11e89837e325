// SPDX-License-Identifier: MIT
// Convolutions, pooling and interpolation: the same bits whatever the threads and fusion, at every level of this host;
// the kernel packed as a constant or when the program runs; what is rejected. ops_agree_test.cc compares values.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/runtime/session.h>
#include <lazuli/tests/support/error_of.h>
#include <lazuli/tests/support/forced_isa.h>
#include <lazuli/tests/support/run_reference.h>

#include <functional>
#include <string>
#include <vector>

namespace lazuli {
namespace {

using Bytes = std::vector<std::byte>;
using Build = std::function<Array()>;

Type typed(Shape shape) { return {DType::f32, std::move(shape)}; }
Array input(const Shape& shape, std::uint32_t seed) {
  return Array::from(test::random_buffer(typed(shape), seed, -1, 1), typed(shape));
}
Array weight(const Shape& shape, std::uint32_t seed) {
  return Array::constant(test::random_buffer(typed(shape), seed, -1, 1), typed(shape), "weight");
}

Bytes run(int threads, const std::string& fusion, const Build& build) {
  SessionOptions options;
  options.threads = threads;
  options.fusion = fusion;
  Session session(options);
  Array result = build();
  eval({result});
  const std::byte* data = result.bytes();
  return {data, data + result.type().bytes()};
}

void expect_one_result(const std::string& what, const Build& build) {
  for (const Isa isa : test::usable_isas()) {
    const test::ForcedIsa forced(isa);
    const Bytes one = run(1, "none", build);
    for (const int threads : {1, 2, 4})
      EXPECT_TRUE(one == run(threads, "all", build)) << what << " at " << to_string(isa) << ", " << threads;
  }
}

// What stands behind a convolution in a network: a bias by channel and an activation.
Array with_bias(const Array& y) { return relu(y + weight({y.shape().back()}, 9)); }

TEST(Windows, ConvolutionsHaveOneResult) {
  const Array wide = input({3, 33, 35, 48}, 1), small = input({1, 7, 7, 160}, 2);
  expect_one_result("3x3", [&] { return with_bias(conv2d(wide, weight({40, 3, 3, 48}, 3), {1}, {1})); });
  expect_one_result("strided", [&] { return with_bias(conv2d(wide, weight({40, 5, 3, 48}, 3), {2}, {1})); });
  expect_one_result("few rows", [&] { return with_bias(conv2d(small, weight({200, 3, 3, 160}, 3), {1}, {1})); });
  expect_one_result("groups", [&] { return with_bias(conv2d(wide, weight({48, 3, 3, 12}, 3), {1}, {1}, {1}, 4)); });
  expect_one_result("depthwise", [&] { return with_bias(conv2d(wide, weight({48, 3, 3, 1}, 3), {1}, {1}, {1}, 48)); });
  expect_one_result("pointwise", [&] { return with_bias(conv2d(wide, weight({72, 1, 1, 48}, 3))); });
  expect_one_result("transposed",
                    [&] { return with_bias(conv_transpose2d(wide, weight({40, 4, 4, 48}, 3), {2}, {1})); });
  expect_one_result("kernel as input", [&] { return with_bias(conv2d(wide, input({40, 3, 3, 48}, 3), {1}, {1})); });
  expect_one_result("several", [&] {
    const Array y = with_bias(conv2d(wide, weight({40, 3, 3, 48}, 3), {1}, {1}));
    return mean(max_pool(with_bias(conv2d(y, weight({24, 3, 3, 40}, 4), {1}, {1})), {.kernel = {2}}), {1, 2});
  });
}

TEST(Windows, PoolingAndInterpolationHaveOneResult) {
  const Array x = input({2, 61, 64, 40}, 1);
  expect_one_result("max", [&] { return max_pool(x, {.kernel = {3}, .stride = {2}, .padding_low = {1}}); });
  expect_one_result("mean", [&] { return mean_pool(x, {.kernel = {3}, .stride = {2}, .padding_high = {1}}); });
  expect_one_result("global", [&] { return adaptive_mean_pool(x, {1}); });
  expect_one_result("linear", [&] { return interpolate(x, {100, 90}, Interpolation::linear); });
}

// Products in f32 begin with a kernel that is packed once, or each time; both give the same numbers.
TEST(Windows, ConstantKernelsGiveTheBitsOfOthers) {
  const Array x = input({1, 20, 21, 32}, 1);
  for (const std::int64_t groups : {1, 2, 32}) {
    const Shape kernel = {32, 3, 3, 32 / groups};
    EXPECT_TRUE(run(2, "all", [&] { return conv2d(x, weight(kernel, 2), {1}, {1}, {1}, groups); }) ==
                run(2, "all", [&] { return conv2d(x, input(kernel, 2), {1}, {1}, {1}, groups); }))
        << groups;
  }
}

// The same memory as the rows of a linear and as the kernel of a convolution.
TEST(Windows, OneBufferIsPackedAsSeveralMatrices) {
  const Shape kernel = {16, 3, 3, 8}, matrix = {16 * 9, 8};
  const BufferRef buffer = test::random_buffer(typed(kernel), 2, -1, 1);
  const auto both = [&](bool shared) {
    return run(1, "all", [&] {
      const Array as_matrix = shared ? Array::constant(buffer, typed(matrix)) : weight(matrix, 2);
      const Array as_kernel = shared ? Array::constant(buffer, typed(kernel)) : weight(kernel, 2);
      const Array x = input({1, 6, 6, 8}, 1);
      return concatenate({reshape(linear(x, as_matrix), {-1}), reshape(conv2d(x, as_kernel), {-1})}, 0);
    });
  };
  EXPECT_TRUE(both(true) == both(false));
}

TEST(Windows, Shapes) {
  const Array x = input({1, 10, 12, 4}, 1);
  EXPECT_EQ(conv2d(x, input({6, 3, 5, 4}, 2), {2}, {1}).shape(), (Shape{1, 5, 5, 6}));
  EXPECT_EQ(conv_transpose2d(x, input({6, 3, 4, 4}, 2), {2}, {1}, {1}, {1, 0}).shape(), (Shape{1, 20, 24, 6}));
  EXPECT_EQ(conv2d(x, input({6, 1, 1, 4}, 2)).node()->op, Op::linear);
  EXPECT_EQ(max_pool(x, {.kernel = {3}}).shape(), (Shape{1, 3, 4, 4}));
  EXPECT_EQ(max_pool(x, {.kernel = {3}, .ceil_mode = true}).shape(), (Shape{1, 4, 4, 4}));
  EXPECT_EQ(adaptive_mean_pool(x, {3}).shape(), (Shape{1, 3, 3, 4}));
  EXPECT_EQ(upsample(x, {1.5}).shape(), (Shape{1, 15, 18, 4}));
}

// Known values of the coordinates: PyTorch's and ONNX's for these sizes.
TEST(Windows, Coordinates) {
  const Session session;
  const Array x = Array::from({0.0f, 1.0f, 2.0f, 3.0f}, {1, 4, 1});
  const auto values = [](const Array& y) { return std::vector<float>(y.data<float>().begin(), y.data<float>().end()); };
  const auto linear_to = [&](std::int64_t size, Coordinates coordinates) {
    return values(interpolate(x, {size}, Interpolation::linear, coordinates));
  };
  EXPECT_EQ(linear_to(8, Coordinates::half_pixel), (std::vector<float>{0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3}));
  EXPECT_EQ(linear_to(7, Coordinates::align_corners), (std::vector<float>{0, 0.5, 1, 1.5, 2, 2.5, 3}));
  EXPECT_EQ(linear_to(2, Coordinates::asymmetric), (std::vector<float>{0, 2}));
  EXPECT_EQ(values(interpolate(x, {8})), (std::vector<float>{0, 0, 1, 1, 2, 2, 3, 3}));
  EXPECT_EQ(values(interpolate(x, {2})), (std::vector<float>{0, 2}));  // 0.5 and 2.5: of two the first
  EXPECT_EQ(values(interpolate(x, {3}, Interpolation::nearest, Coordinates::asymmetric)),
            (std::vector<float>{0, 1, 2}));
  EXPECT_EQ(values(interpolate(x, {4}, Interpolation::cubic)), (std::vector<float>{0, 1, 2, 3}));
}

TEST(Windows, WrongOperandsAreNamed) {
  const Array x = input({1, 10, 12, 4}, 1);
  EXPECT_EQ(test::error_of([&] { conv2d(x, input({6, 3, 3, 3}, 2)); }),
            "convolution: x is f32[1,10,12,4], weight is f32[6,3,3,3], groups are 1; expected weight [O, kernel..., "
            "C / groups] with C and O multiples of groups");
  EXPECT_EQ(test::error_of([&] { conv2d(x, input({6, 11, 3, 4}, 2)); }),
            "convolution: x is f32[1,10,12,4], weight is f32[6,11,3,4]: along spatial axis 0 the padded input has 10 "
            "elements, the kernel 11; expected a kernel of 1 or more that fits");
  EXPECT_EQ(test::error_of([&] { conv2d(x, input({6, 3, 3, 4}, 2), {1, 0}); }),
            "convolution: stride is [1,0], expected 1 or more");
  EXPECT_EQ(test::error_of([&] { conv2d(x, input({6, 3, 3, 4}, 2), {1}, {1, 2, 3}); }),
            "convolution: padding is [1,2,3] and [1,2,3], expected 2 entries each, one for each spatial axis");
  EXPECT_EQ(test::error_of([&] { conv1d(x, input({6, 3, 4}, 2)); }), "conv1d: x is f32[1,10,12,4], expected [N, L, C]");
  EXPECT_EQ(test::error_of([&] { conv_transpose2d(x, input({6, 3, 4}, 2)); }),
            "conv_transpose2d: weight is f32[6,3,4], expected [O, kernel..., C / groups] of rank 4");
  EXPECT_EQ(test::error_of([&] { conv2d(cast(x, DType::i32), input({6, 3, 3, 4}, 2)); }),
            "convolution: operand 0 is i32[1,10,12,4], expected a real dtype of at most 32 bits (f32, f16, bf16)");
  EXPECT_EQ(test::error_of([&] { max_pool(input({10, 12}, 2), {.kernel = {2}}); }),
            "max_pool: x is f32[10,12], expected [N, one to three spatial axes, C]");
  EXPECT_EQ(test::error_of([&] { mean_pool(x, {}); }), "mean_pool: kernel is [0,0], expected 1 or more");
  EXPECT_EQ(test::error_of([&] { mean_pool(x, {.kernel = {11, 1}}); }),
            "mean_pool: x is f32[1,10,12,4]: along spatial axis 0 the padded input has 10 elements, the window 11; "
            "expected a window that fits");
  EXPECT_EQ(test::error_of([&] { adaptive_max_pool(x, {1, 2, 3}); }),
            "adaptive_max_pool: size is [1,2,3], expected 2 entries, one for each spatial axis");
  EXPECT_EQ(test::error_of([&] { interpolate(cast(x, DType::i32), {3}, Interpolation::linear); }),
            "interpolate: operand 0 is i32[1,10,12,4], expected a real dtype where order is 1");
  EXPECT_EQ(test::error_of([&] { upsample(x, {1, 2, 3}); }),
            "upsample: x is f32[1,10,12,4], 3 scales; expected a positive one for each of one to three spatial axes");
}

}  // namespace
}  // namespace lazuli
