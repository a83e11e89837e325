// SPDX-License-Identifier: MIT
// Reading an array's values, and how many it can have.
#include <gtest/gtest.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/tests/support/error_of.h>

#include <cstdint>
#include <vector>

namespace lazuli {
namespace {

using test::error_of;

TEST(Array, DataTakesTheTypeOfTheElements) {
  const Array integers = Array::from({1, 2, 3}, {3});
  EXPECT_EQ(integers.data<std::int32_t>()[2], 3);
  EXPECT_EQ(error_of([&] { integers.data<float>(); }), "data: the array is i32[3], expected f32");
  EXPECT_EQ(error_of([&] { integers.data<std::uint32_t>(); }), "data: the array is i32[3], expected u32");
  EXPECT_EQ(error_of([&] { integers.data<std::uint16_t>(); }), "data: the array is i32[3], expected u16, f16 or bf16");
}

TEST(Array, DataOfHalvesIsTheirBits) {
  const BufferRef buffer = Buffer::allocate(2 * sizeof(std::uint16_t));
  buffer->as<std::uint16_t>()[1] = 0x3f80;
  for (const DType dtype : {DType::f16, DType::bf16})
    EXPECT_EQ(Array::from(buffer, Type{dtype, {2}}).data<std::uint16_t>()[1], 0x3f80);
}

TEST(Array, ItemsOfLargeIntegersAreExact) {
  const std::int64_t value = (std::int64_t{1} << 53) + 1;  // no double has it
  const Array array = Array::from(std::span<const std::int64_t>(&value, 1), {1});
  EXPECT_EQ(array.item<std::int64_t>(), value);
  EXPECT_EQ(array.item<std::uint64_t>(), static_cast<std::uint64_t>(value));
  EXPECT_EQ(array.item<double>(), 9007199254740992.0);
}

TEST(Array, HasElementsThatCanBeCounted) {
  const auto wide = [](std::int64_t size) { return broadcast_to(Array(1.0f), {size, size}); };
  EXPECT_EQ(error_of([&] { wide(std::int64_t{1} << 32); }),
            "broadcast_to: the result would be f32[4294967296,4294967296], expected at most 2^56 elements");
  EXPECT_EQ(error_of([&] { zeros({std::int64_t{1} << 62}, DType::f32); }).substr(0, 13), "broadcast_to:");
  EXPECT_EQ(sum(wide(std::int64_t{1} << 28)).rank(), 0);
}

}  // namespace
}  // namespace lazuli
