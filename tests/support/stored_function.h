// SPDX-License-Identifier: MIT
// The function that tests/data/graphs/format_1.lzg holds, as it was built.
#pragma once

#include <lazuli/graph/evaluator.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/graph/types/quantised.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lazuli::test {

// (i * 37 mod 64 - 32) / 16: numbers that f16 and q8_0 hold exactly where a block has the largest of them.
inline std::vector<float> stored_values(std::size_t count) {
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back((static_cast<float>(i * 37 % 64) - 32.0f) / 16.0f);
  return values;
}

inline Array stored_constant(DType dtype, const Shape& shape, const std::string& label) {
  const Type type{dtype, shape};
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  const std::vector<float> values = stored_values(static_cast<std::size_t>(type.elements()));
  quantise(dtype, values.data(), type.elements(), buffer->data());
  return Array::constant(std::move(buffer), type, label);
}

// (x f32[2,32], state f32[2,16], ids i32[3]) -> (y f32[2,16], new state, rows f32[3,5]); the state is donated.
inline CompiledFunction stored_function() {
  const Array up = stored_constant(DType::q8_0, {16, 32}, "up.weight");
  const Array gain = stored_constant(DType::f32, {16}, "gain");
  const Array table = stored_constant(DType::f16, {7, 5}, "table");
  const Array offset = stored_constant(DType::f32, {3}, "");
  CompileOptions options;
  options.donate = {1};
  options.phase = Phase::decode;
  options.argument_names = {"x", "state", "ids"};
  return compile(
      [=](const std::vector<Array>& a) {
        const Scope scope("layers", 0);
        const Array h = gelu_tanh(linear(a[0], up)) * rms_norm(a[1], gain, 1e-5);
        const Array y = softmax(softcap(h, 30.0), -1) * 2.5f;
        const Array rows = cast(take(table, a[2], 0), DType::f32) + reshape(offset, {3, 1});
        return std::vector<Array>{y, a[1] + h, rows};
      },
      options);
}

inline std::vector<Array> stored_arguments() {
  return {Array::from(stored_values(64), {2, 32}), Array::from(stored_values(32), {2, 16}),
          Array::from<std::int32_t>({6, 0, 3}, {3})};
}

}  // namespace lazuli::test
