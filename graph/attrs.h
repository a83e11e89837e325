// SPDX-License-Identifier: MIT
// Attributes of ops. A struct lists its fields once; equality, hash, printing and parsing derive from that list.
#pragma once

#include <lazuli/graph/base/export.h>
#include <lazuli/graph/body_ref.h>
#include <lazuli/graph/custom_op_ref.h>
#include <lazuli/graph/types/shape.h>

#include <cstdint>
#include <string>
#include <variant>

namespace lazuli {

// Defines `visit(f)`, which calls f(name, field) for every field in order.
#define LAZULI_FIELD(field) f(#field, self.field);
#define LAZULI_FIELDS_0()
#define LAZULI_FIELDS_1(a) LAZULI_FIELD(a)
#define LAZULI_FIELDS_2(a, b) LAZULI_FIELD(a) LAZULI_FIELD(b)
#define LAZULI_FIELDS_3(a, ...) LAZULI_FIELD(a) LAZULI_FIELDS_2(__VA_ARGS__)
#define LAZULI_FIELDS_4(a, ...) LAZULI_FIELD(a) LAZULI_FIELDS_3(__VA_ARGS__)
#define LAZULI_FIELDS_5(a, ...) LAZULI_FIELD(a) LAZULI_FIELDS_4(__VA_ARGS__)
#define LAZULI_FIELDS_6(a, ...) LAZULI_FIELD(a) LAZULI_FIELDS_5(__VA_ARGS__)
#define LAZULI_FIELDS_7(a, ...) LAZULI_FIELD(a) LAZULI_FIELDS_6(__VA_ARGS__)
#define LAZULI_SELECT(_0, _1, _2, _3, _4, _5, _6, _7, name, ...) name
#define LAZULI_ATTRS(Name, ...)                                                                                      \
  bool operator==(const Name&) const = default;                                                                      \
  template <class Self, class F>                                                                                     \
  static void visit([[maybe_unused]] Self& self, [[maybe_unused]] F&& f) {                                           \
    LAZULI_SELECT(_0 __VA_OPT__(, ) __VA_ARGS__, LAZULI_FIELDS_7, LAZULI_FIELDS_6, LAZULI_FIELDS_5, LAZULI_FIELDS_4, \
                  LAZULI_FIELDS_3, LAZULI_FIELDS_2, LAZULI_FIELDS_1, LAZULI_FIELDS_0)(__VA_ARGS__)                   \
  }

// A number of a program. One of the graph that is compiled has a slot, its place among the numbers of a run: the
// program takes the value from there, so that a new one compiles nothing. Without a slot it is a literal, which
// decompositions and passes write, and part of the structure. Passes ask NumberGuards and do not read `value`.
struct LAZULI_API Number {
  static constexpr std::int32_t literal = -1;

  Number() = default;
  Number(double number) : value(number) {}  // NOLINT(google-explicit-constructor): formulas hold numbers

  double value = 0;
  std::int32_t slot = literal;

  bool is_literal() const { return slot == literal; }
  bool operator==(const Number&) const = default;
};

struct LAZULI_API NoAttrs {
  LAZULI_ATTRS(NoAttrs)
};
struct LAZULI_API InputAttrs {
  std::int64_t index = 0;  // position among the graph's inputs
  LAZULI_ATTRS(InputAttrs, index)
};
struct LAZULI_API ScalarAttrs {
  Number value = 0;  // exact for f32 and for integers up to 2^53
  DType dtype = DType::f32;
  LAZULI_ATTRS(ScalarAttrs, value, dtype)
};
struct LAZULI_API IotaAttrs {
  std::int64_t size = 0;
  DType dtype = DType::i32;
  LAZULI_ATTRS(IotaAttrs, size, dtype)
};
struct LAZULI_API RandomAttrs {
  Shape shape;
  DType dtype = DType::f32;
  std::int64_t key = 0;
  LAZULI_ATTRS(RandomAttrs, shape, dtype, key)
};
struct LAZULI_API CastAttrs {
  DType dtype = DType::f32;
  LAZULI_ATTRS(CastAttrs, dtype)
};
struct LAZULI_API ReduceAttrs {
  Dims axes;  // ascending, non-negative
  bool keep_dims = false;
  LAZULI_ATTRS(ReduceAttrs, axes, keep_dims)
};
struct LAZULI_API AxisAttrs {
  std::int64_t axis = 0;  // non-negative
  LAZULI_ATTRS(AxisAttrs, axis)
};
struct LAZULI_API CumulativeAttrs {
  std::int64_t axis = 0;   // non-negative
  bool reverse = false;    // from the last element on
  bool exclusive = false;  // an element counts from the one behind it on
  LAZULI_ATTRS(CumulativeAttrs, axis, reverse, exclusive)
};
struct LAZULI_API TopKAttrs {
  std::int64_t k = 1;
  LAZULI_ATTRS(TopKAttrs, k)
};
struct LAZULI_API ReshapeAttrs {
  Shape shape;
  LAZULI_ATTRS(ReshapeAttrs, shape)
};
struct LAZULI_API TransposeAttrs {
  Dims permutation;  // result axis i is operand axis permutation[i]
  LAZULI_ATTRS(TransposeAttrs, permutation)
};
struct LAZULI_API SliceAttrs {
  // Per axis. step >= 1: 0 <= begin <= end <= size; step <= -1: size > begin >= end >= -1, from the last to the first.
  Dims begin, end, step;
  LAZULI_ATTRS(SliceAttrs, begin, end, step)
};
struct LAZULI_API SliceUpdateAttrs {
  std::int64_t axis = 0;
  // false: row i of the update goes to start + i, rows past the end are dropped; true: to (start + i) mod size.
  bool ring = false;
  LAZULI_ATTRS(SliceUpdateAttrs, axis, ring)
};
struct LAZULI_API SoftcapAttrs {
  Number cap = 30;
  LAZULI_ATTRS(SoftcapAttrs, cap)
};
struct LAZULI_API RmsNormAttrs {
  Number epsilon = 1e-6;
  LAZULI_ATTRS(RmsNormAttrs, epsilon)
};
struct LAZULI_API LayerNormAttrs {
  Number epsilon = 1e-5;
  LAZULI_ATTRS(LayerNormAttrs, epsilon)
};
struct LAZULI_API RopeAttrs {
  Number base = 10000;
  Number scale = 1;                // multiplies positions: 1 / factor of linear scaling
  std::int64_t rotated_pairs = 0;  // pairs (j, j + d/2) with j < rotated_pairs turn; 0: all d/2
  LAZULI_ATTRS(RopeAttrs, base, scale, rotated_pairs)
};
struct LAZULI_API AttentionAttrs {
  Number scale = 1;
  // A query at position p sees keys k with p - window < k <= p; 0: no window. Position k lives in row k mod capacity.
  std::int64_t window = 0;
  LAZULI_ATTRS(AttentionAttrs, scale, window)
};
struct LAZULI_API AltupAttrs {
  std::int64_t active = 0;  // the plane that goes through the layer
  LAZULI_ATTRS(AltupAttrs, active)
};
// Windows over the spatial axes of [N, spatial axes..., C]: lists have one entry for each of these axes.
struct LAZULI_API ConvolutionAttrs {
  Dims stride = {}, padding_low = {}, padding_high = {};  // negative padding cuts off
  // From one element of the kernel, or of the input, to the next; between those of the input are zeros. An input
  // dilation makes a transposed convolution, which is strided the other way.
  Dims kernel_dilation = {}, input_dilation = {};
  std::int64_t groups = 1;  // of channels, each convolved by itself
  bool flip = false;        // the kernel is read from its end
  LAZULI_ATTRS(ConvolutionAttrs, stride, padding_low, padding_high, kernel_dilation, input_dilation, groups, flip)
};
struct LAZULI_API PoolAttrs {
  Dims kernel = {}, stride = {}, padding_low = {}, padding_high = {};
  Dims dilation = {};
  bool ceil_mode = false;         // a last window may reach past the padding if it begins before it
  bool count_include_pad = true;  // a mean divides by the elements of the padding too, which are zero
  LAZULI_ATTRS(PoolAttrs, kernel, stride, padding_low, padding_high, dilation, ceil_mode, count_include_pad)
};
struct LAZULI_API AdaptivePoolAttrs {
  Dims size = {};  // of the result's spatial axes
  LAZULI_ATTRS(AdaptivePoolAttrs, size)
};
// Position i of a spatial axis of the result is (slope i + offset) / denominator on the axis of the operand.
struct LAZULI_API InterpolateAttrs {
  Dims size = {};          // of the result's spatial axes
  std::int64_t order = 0;  // 0: the element at or before the position, 1: linear, 3: cubic
  Dims slope = {}, offset = {}, denominator = {};
  LAZULI_ATTRS(InterpolateAttrs, size, order, slope, offset, denominator)
};
struct LAZULI_API FusedAttrs {
  std::string name;  // of the rule that made it: "gelu_mul", "softcap", "loop"
  LAZULI_ATTRS(FusedAttrs, name)
};
// No fields: the op says its attributes itself. Equality, key, text and JSON ask it.
struct LAZULI_API CustomAttrs {
  CustomOpRef op;
  LAZULI_ATTRS(CustomAttrs)
};

// Moving data
struct LAZULI_API AsStridedAttrs {
  Shape shape;
  Dims strides;             // in elements of the operand, row-major; of any sign
  std::int64_t offset = 0;  // of the first element
  LAZULI_ATTRS(AsStridedAttrs, shape, strides, offset)
};
struct LAZULI_API PadAttrs {
  Dims before, after;  // elements per axis, non-negative
  LAZULI_ATTRS(PadAttrs, before, after)
};
struct LAZULI_API GatherNdAttrs {
  std::int64_t batch_dims = 0;
  LAZULI_ATTRS(GatherNdAttrs, batch_dims)
};
struct LAZULI_API ScatterAttrs {
  std::int64_t axis = 0;              // non-negative
  std::string reduction = "replace";  // or add, mul, max, min
  LAZULI_ATTRS(ScatterAttrs, axis, reduction)
};
struct LAZULI_API ScatterNdAttrs {
  std::string reduction = "replace";  // as in ScatterAttrs
  LAZULI_ATTRS(ScatterNdAttrs, reduction)
};

// Control flow. Bodies hold no constants: what they use of the graph around them are operands, behind the others.
struct LAZULI_API ScanAttrs {
  std::int64_t length = 0;                  // iterations
  std::int64_t carries = 0, sequences = 0;  // the first operands; further ones are the same for every iteration
  bool reverse = false;                     // from the last element on
  BodyRef body;                             // (carries, an element of each sequence, the rest) -> (carries, elements)
  LAZULI_ATTRS(ScanAttrs, length, carries, sequences, reverse, body)
};
struct LAZULI_API WhileAttrs {
  std::int64_t carries = 0;  // the first operands; further ones are the same for every iteration
  BodyRef condition, body;   // (carries, the rest) -> bool[]; -> carries
  LAZULI_ATTRS(WhileAttrs, carries, condition, body)
};
struct LAZULI_API CondAttrs {
  BodyRef then_body, else_body;  // of all operands but the first, the predicate
  LAZULI_ATTRS(CondAttrs, then_body, else_body)
};

using Attrs =
    std::variant<NoAttrs, InputAttrs, ScalarAttrs, IotaAttrs, RandomAttrs, CastAttrs, ReduceAttrs, AxisAttrs, TopKAttrs,
                 ReshapeAttrs, TransposeAttrs, SliceAttrs, SliceUpdateAttrs, SoftcapAttrs, RmsNormAttrs, RopeAttrs,
                 AttentionAttrs, AltupAttrs, ConvolutionAttrs, PoolAttrs, AdaptivePoolAttrs, InterpolateAttrs,
                 FusedAttrs, CumulativeAttrs, LayerNormAttrs, AsStridedAttrs, PadAttrs, GatherNdAttrs, ScatterAttrs,
                 ScatterNdAttrs, CustomAttrs, ScanAttrs, WhileAttrs, CondAttrs>;

// "{axis=1, ring=true}", without bodies; "" when there are no fields. Of a custom op, its attributes().
LAZULI_API std::string to_string(const Attrs& attrs);

// What a key says of numbers.
enum class NumberKey : std::uint8_t {
  none,             // nothing
  values,           // their values
  values_and_slots  // and where a run has them: equal attributes are then interchangeable whatever its values are
};
// Appends a canonical byte form, equal exactly when the attributes are.
LAZULI_API void append_key(const Attrs& attrs, std::string& key, NumberKey numbers = NumberKey::values);

}  // namespace lazuli
