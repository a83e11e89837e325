// SPDX-License-Identifier: MIT
// The ops a program calls. Each makes one lazy node (or a few), infers shapes at once and throws at the caller's line.
// Binary ops take arrays of one dtype; C++ numbers adapt to the array they meet. There are no hidden casts.
#pragma once

#include <lazuli/graph/array.h>
#include <lazuli/graph/base/export.h>

#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace lazuli {

// Leaves
LAZULI_API Array scalar(Number value, DType dtype = DType::f32);
LAZULI_API Array full(Shape shape, double value, DType dtype = DType::f32);  // a scalar, broadcast
LAZULI_API Array zeros(Shape shape, DType dtype = DType::f32);
LAZULI_API Array iota(std::int64_t size, DType dtype = DType::i32);
namespace random {
// Counter-based: the same key gives the same numbers on every machine and thread count.
LAZULI_API Array uniform(Shape shape, DType dtype, std::int64_t key);  // [0, 1)
LAZULI_API Array normal(Shape shape, DType dtype, std::int64_t key);
}  // namespace random

// Elementwise: a function for each LAZULI_FUNCTION of ops.def, such as exp(x) and maximum(a, b)
#define LAZULI_OPERANDS_1 const Array& a
#define LAZULI_OPERANDS_2 const Array &a, const Array &b
#define LAZULI_OP(...)
#define LAZULI_FUNCTION(name, min, max, ...) LAZULI_API Array name(LAZULI_OPERANDS_##max);
#include <lazuli/graph/ops.def>
#undef LAZULI_OPERANDS_1
#undef LAZULI_OPERANDS_2
LAZULI_API Array operator-(const Array& x);
LAZULI_API Array operator+(const Array& a, const Array& b);
LAZULI_API Array operator-(const Array& a, const Array& b);
LAZULI_API Array operator*(const Array& a, const Array& b);
LAZULI_API Array operator/(const Array& a, const Array& b);  // integers: toward negative infinity, x / 0 = 0
LAZULI_API Array cast(const Array& x, DType dtype);
// To [low, high], both values of the dtype; of integers, an infinity bounds nothing.
LAZULI_API Array clip(const Array& x, double low, double high);
LAZULI_API Array relu(const Array& x);                      // max(x, 0)
LAZULI_API Array leaky_relu(const Array& x, double slope);  // x where x > 0, else slope x
LAZULI_API Array elu(const Array& x, double alpha = 1);  // x where x > 0, else alpha (exp(x) - 1), Clevert et al. 2015
LAZULI_API Array hard_swish(const Array& x);             // x (clip(x + 3, 0, 6) / 6), Howard et al. 2019
// bool arrays; integers and bools are all finite
LAZULI_API Array isnan(const Array& x);
LAZULI_API Array isinf(const Array& x);
LAZULI_API Array isfinite(const Array& x);
LAZULI_API Array logical_and(const Array& a, const Array& b);
LAZULI_API Array logical_or(const Array& a, const Array& b);
LAZULI_API Array select(const Array& condition, const Array& a, const Array& b);

// Reductions; negative axes count from the end, integers wrap around. Without axes: of all elements, as a scalar. Of no
// elements: 0, of prod and all 1, of mean and var NaN, of logsumexp -inf; max, min and places throw. NaN wins in max
// and min.
LAZULI_API Array sum(const Array& x, Dims axes, bool keep_dims = false);
LAZULI_API Array mean(const Array& x, Dims axes, bool keep_dims = false);
LAZULI_API Array max(const Array& x, Dims axes, bool keep_dims = false);
LAZULI_API Array min(const Array& x, Dims axes, bool keep_dims = false);
LAZULI_API Array prod(const Array& x, Dims axes, bool keep_dims = false);
LAZULI_API Array any(const Array& x, Dims axes, bool keep_dims = false);            // bool: is one of them not zero
LAZULI_API Array all(const Array& x, Dims axes, bool keep_dims = false);            // bool: is none of them zero
LAZULI_API Array count_nonzero(const Array& x, Dims axes, bool keep_dims = false);  // i32
// Of real arrays; 16-bit operands are computed in f32 and rounded once.
// sum((x - mean(x))²) / (n - ddof), n elements each; the mean is subtracted first, so that a large one costs no digits
LAZULI_API Array var(const Array& x, Dims axes, bool keep_dims = false, std::int64_t ddof = 0);
// sqrt(var(x)); not called std, which would hide the standard library
LAZULI_API Array stddev(const Array& x, Dims axes, bool keep_dims = false, std::int64_t ddof = 0);
// log(sum(exp(x))) as log(sum(exp(x - max))) + max, which does not overflow; of nothing but -inf: -inf
LAZULI_API Array logsumexp(const Array& x, Dims axes, bool keep_dims = false);
LAZULI_API Array sum(const Array& x);
LAZULI_API Array mean(const Array& x);
LAZULI_API Array max(const Array& x);
LAZULI_API Array min(const Array& x);
LAZULI_API Array prod(const Array& x);
LAZULI_API Array any(const Array& x);
LAZULI_API Array all(const Array& x);
LAZULI_API Array count_nonzero(const Array& x);
LAZULI_API Array var(const Array& x);
LAZULI_API Array stddev(const Array& x);
LAZULI_API Array logsumexp(const Array& x);
namespace linalg {
// Vector norms of real arrays, over all elements along the axes: order 1, sum(|x|); 2, sqrt(sum(x²)), which over two
// axes is the Frobenius norm; infinity, max(|x|). Throws for other orders.
LAZULI_API Array norm(const Array& x, Dims axes, bool keep_dims = false, double order = 2);
LAZULI_API Array norm(const Array& x);  // order 2
}  // namespace linalg
// i32, the axis is dropped; the first of equals, and of NaN, which wins as in max and min
LAZULI_API Array argmax(const Array& x, std::int64_t axis = -1);
LAZULI_API Array argmin(const Array& x, std::int64_t axis = -1);
struct LAZULI_API TopK {
  Array values, indices;
};
// The largest first; NaN is above all numbers, where sort has it. The last axis where none is given.
LAZULI_API TopK top_k(const Array& x, std::int64_t k);
LAZULI_API TopK top_k(const Array& x, std::int64_t k, std::int64_t axis);

// Cumulative: element i of the result is that of elements 0 to i along the axis; `reverse`: of i to the last;
// not `inclusive`: without element i itself, where nothing is left 0, 1, -inf or inf (of integers: the least or the
// largest). Numbers; real sums and products are carried in double and rounded for each result, integers wrap around.
LAZULI_API Array cumsum(const Array& x, std::int64_t axis, bool reverse = false, bool inclusive = true);
LAZULI_API Array cumprod(const Array& x, std::int64_t axis, bool reverse = false, bool inclusive = true);
LAZULI_API Array cummax(const Array& x, std::int64_t axis, bool reverse = false, bool inclusive = true);
LAZULI_API Array cummin(const Array& x, std::int64_t axis, bool reverse = false, bool inclusive = true);

// Order: ascending, equals (0 and -0) as they stood, NaN behind all numbers
LAZULI_API Array sort(const Array& x, std::int64_t axis = -1);
LAZULI_API Array argsort(const Array& x, std::int64_t axis = -1);  // i32
// What stands at `kth` of the sorted axis stands there, nothing larger before it and nothing smaller behind it; the
// rest may be in any order. A negative kth counts from the end; throws where it is out of range.
LAZULI_API Array partition(const Array& x, std::int64_t kth, std::int64_t axis = -1);
LAZULI_API Array argpartition(const Array& x, std::int64_t kth, std::int64_t axis = -1);  // i32

// Views
LAZULI_API Array reshape(const Array& x, Shape shape);  // one size may be -1
LAZULI_API Array transpose(const Array& x, Dims permutation);
LAZULI_API Array swap_axes(const Array& x, std::int64_t a, std::int64_t b);
// x[begin:end:step] of every axis; begin and end count from the start. A negative step goes from begin down to behind
// end, which is -1 where it reaches the first element.
LAZULI_API Array slice(const Array& x, Dims begin, Dims end, Dims step = {});
LAZULI_API Array slice_axis(const Array& x, std::int64_t axis, std::int64_t begin, std::int64_t end);
LAZULI_API Array squeeze(const Array& x, std::int64_t axis);
LAZULI_API Array expand_dims(const Array& x, std::int64_t axis);
LAZULI_API Array broadcast_to(const Array& x, Shape shape);

// Moving data
LAZULI_API Array concatenate(const std::vector<Array>& parts, std::int64_t axis);
LAZULI_API Array stack(const std::vector<Array>& parts, std::int64_t axis = 0);  // new axis
LAZULI_API std::vector<Array> unstack(const Array& x, std::int64_t axis);  // one array per index, the axis dropped
LAZULI_API Array index(const Array& x, std::int64_t axis, std::int64_t position);  // one slice, the axis dropped
// `base` with rows of `update` written along `axis` from `start` (i32 scalar array) on; see SliceUpdateAttrs for
// `ring`. A quantised base takes rows of f32, and encodes them as quantise does.
LAZULI_API Array slice_update(const Array& base, const Array& update, const Array& start, std::int64_t axis,
                              bool ring = false);
// The slices of x at the i32 indices, whose axes stand in the result where `axis` was: [] drops it. Whoever takes,
// gathers or scatters gives indices in [0, size): another, also a negative one, is an error of the run.
LAZULI_API Array take(const Array& x, const Array& indices, std::int64_t axis);
LAZULI_API Array take(const Array& x, const Array& indices);  // of the elements of x in row-major order
// take along axis 0; dequantises quantised tables to f32
LAZULI_API Array take_rows(const Array& table, const Array& indices);
// Element i of the result is x[i] with i[axis] = indices[i]. Indices have the shape of x, but along the axis. mlx and
// the Array API call it take_along_axis.
LAZULI_API Array gather(const Array& x, const Array& indices, std::int64_t axis);

// Linear algebra
// [..., M, K] · [..., K, N], the axes before them broadcast. An operand of one axis is a row on the left, a column on
// the right, and that axis is none of the result's (numpy). Real operands of one dtype; sums in f32.
LAZULI_API Array matmul(const Array& a, const Array& b);
LAZULI_API Array linear(const Array& x, const Array& weight);  // x [..., K] · weight [N, K]ᵀ; the dtype of x
// For token t and its j-th expert: x[t, j] · weight[experts[t, j]]ᵀ. x [T, S, K] with S = k, or S = 1 where a token's
// experts share its row; weight [E, N, K] of any dtype; experts i32 [T, k], each in [0, E). Result [T, k, N].
LAZULI_API Array expert_linear(const Array& x, const Array& weight, const Array& experts);

// Windows: convolution, pooling and interpolation of x [N, spatial axes..., C], one to three of them. A list has one
// entry for each spatial axis, or one for all.
// Cross-correlation with weight [O, kernel..., C / groups], both of f32, f16 or bf16, summed in f32; the result is
// [N, ..., O] in the dtype of x. Along a spatial axis of padded, dilated size S and dilated kernel K it has
// floor((S - K) / stride) + 1 elements.
LAZULI_API Array conv1d(const Array& x, const Array& weight, std::int64_t stride = 1, std::int64_t padding = 0,
                        std::int64_t dilation = 1, std::int64_t groups = 1);
LAZULI_API Array conv2d(const Array& x, const Array& weight, Dims stride = {1}, Dims padding = {0}, Dims dilation = {1},
                        std::int64_t groups = 1);
LAZULI_API Array conv3d(const Array& x, const Array& weight, Dims stride = {1}, Dims padding = {0}, Dims dilation = {1},
                        std::int64_t groups = 1);
// The gradient of a convolution with this stride, padding and dilation by its input: along a spatial axis of size S the
// result has (S - 1) stride - 2 padding + dilation (K - 1) + 1 + output_padding elements. weight [O, kernel..., C /
// groups].
LAZULI_API Array conv_transpose1d(const Array& x, const Array& weight, std::int64_t stride = 1,
                                  std::int64_t padding = 0, std::int64_t dilation = 1, std::int64_t output_padding = 0,
                                  std::int64_t groups = 1);
LAZULI_API Array conv_transpose2d(const Array& x, const Array& weight, Dims stride = {1}, Dims padding = {0},
                                  Dims dilation = {1}, Dims output_padding = {0}, std::int64_t groups = 1);
LAZULI_API Array conv_transpose3d(const Array& x, const Array& weight, Dims stride = {1}, Dims padding = {0},
                                  Dims dilation = {1}, Dims output_padding = {0}, std::int64_t groups = 1);
// Lists that are left out: strides and dilations of 1, padding of 0.
LAZULI_API Array conv_general(const Array& x, const Array& weight, ConvolutionAttrs attrs = {});
// Of windows of `kernel` elements; `stride` is the kernel unless it is given. NaN wins in a maximum. A mean over all of
// the spatial axes is mean(x, {1, 2}).
LAZULI_API Array max_pool(const Array& x, PoolAttrs window);
LAZULI_API Array mean_pool(const Array& x, PoolAttrs window);
// To so many elements along the spatial axes; window i of n is [floor(i size / n), ceil((i + 1) size / n)).
LAZULI_API Array adaptive_max_pool(const Array& x, Dims size);
LAZULI_API Array adaptive_mean_pool(const Array& x, Dims size);
enum class Interpolation : std::uint8_t { nearest, linear, cubic };
// Where element i of n lies on an axis of `size` elements.
enum class Coordinates : std::uint8_t {
  half_pixel,    // (i + 1/2) size / n - 1/2
  asymmetric,    // i size / n
  align_corners  // i (size - 1) / (n - 1)
};
// To so many elements along the spatial axes. Positions outside take the nearest element. `nearest` takes the one
// nearest to the position, of two the first; with asymmetric coordinates the one at or before it. Both as ONNX and
// PyTorch have them. `nearest` takes any plain dtype, the others real ones.
LAZULI_API Array interpolate(const Array& x, Dims size, Interpolation mode = Interpolation::nearest,
                             Coordinates coordinates = Coordinates::half_pixel);
// mlx.nn.Upsample: to floor(scale size) elements, whose distance is 1 / scale, or which share their corners.
LAZULI_API Array upsample(const Array& x, std::vector<double> scale, Interpolation mode = Interpolation::nearest,
                          bool align_corners = false);

// Composites (formulas in ops.def)
LAZULI_API Array gelu_tanh(const Array& x);
LAZULI_API Array softcap(const Array& x, double cap);
LAZULI_API Array softmax(const Array& x, std::int64_t axis = -1);
LAZULI_API Array log_softmax(const Array& x, std::int64_t axis = -1);
// Last axis; weight and bias [last size], of the dtype of x
LAZULI_API Array layer_norm(const Array& x, double epsilon);
LAZULI_API Array layer_norm(const Array& x, const Array& weight, double epsilon);
LAZULI_API Array layer_norm(const Array& x, const Array& weight, const Array& bias, double epsilon);
LAZULI_API Array rms_norm(const Array& x, double epsilon);
LAZULI_API Array rms_norm(const Array& x, const Array& weight, double epsilon);
// Norms of real arrays x [N, ..., C], channels last; weight and bias [C], of the dtype of x. 16-bit operands are
// computed in f32 and rounded once.
// (x - mean) / sqrt(variance + epsilon) · weight + bias with mean and variance [C] from elsewhere, as in inference;
// Ioffe & Szegedy 2015
LAZULI_API Array batch_norm(const Array& x, const Array& mean, const Array& variance, double epsilon);
LAZULI_API Array batch_norm(const Array& x, const Array& mean, const Array& variance, const Array& weight,
                            const Array& bias, double epsilon);
// Mean and variance over all positions and the C / groups channels of a group; channel c is in group c / (C / groups),
// as in PyTorch and in mlx.nn's pytorch_compatible form; Wu & He 2018
LAZULI_API Array group_norm(const Array& x, std::int64_t groups, double epsilon);
LAZULI_API Array group_norm(const Array& x, const Array& weight, const Array& bias, std::int64_t groups,
                            double epsilon);
// A group for each channel; Ulyanov et al. 2016
LAZULI_API Array instance_norm(const Array& x, double epsilon);
LAZULI_API Array instance_norm(const Array& x, const Array& weight, const Array& bias, double epsilon);
LAZULI_API Array rope(const Array& x, const Array& positions, const RopeAttrs& attrs);
LAZULI_API Array rope(const Array& x, const Array& positions, const Array& frequency_factors, const RopeAttrs& attrs);
LAZULI_API Array attention(const Array& q, const Array& k, const Array& v, const Array& positions, const Array& length,
                           const AttentionAttrs& attrs);
LAZULI_API Array altup_predict(const Array& planes, const Array& coefficients, const AltupAttrs& attrs = {});
LAZULI_API Array altup_correct(const Array& predicted, const Array& activated, const Array& coefficients,
                               const AltupAttrs& attrs = {});

// Filled arrays
LAZULI_API Array ones(Shape shape, DType dtype = DType::f32);
LAZULI_API Array full_like(const Array& x, double value);  // shape and dtype of x
LAZULI_API Array zeros_like(const Array& x);
LAZULI_API Array ones_like(const Array& x);
// start, start + step, … while it is before stop, of any dtype but bool. Integers take whole numbers.
LAZULI_API Array arange(double start, double stop, double step = 1, DType dtype = DType::i32);
// `count` values (1 - t) start + t stop with t = i / (count - 1), of a real dtype; one value: start.
LAZULI_API Array linspace(double start, double stop, std::int64_t count = 50, DType dtype = DType::f32);
// 1 where column = row + k, else 0.
LAZULI_API Array eye(std::int64_t rows, std::int64_t columns, std::int64_t k = 0, DType dtype = DType::f32);
LAZULI_API Array identity(std::int64_t size, DType dtype = DType::f32);
// 1 where column <= row + k, else 0.
LAZULI_API Array tri(std::int64_t rows, std::int64_t columns, std::int64_t k = 0, DType dtype = DType::f32);
// [..., classes] of integers [...]: 1 at the class, 0 elsewhere, and nothing but 0 where there is no such class.
LAZULI_API Array one_hot(const Array& indices, std::int64_t classes, DType dtype = DType::f32);

// Masks
LAZULI_API Array where(const Array& condition, const Array& a, const Array& b);  // select
// x [..., rows, columns] with 0 where column > row + k (tril) or column < row + k (triu).
LAZULI_API Array tril(const Array& x, std::int64_t k = 0);
LAZULI_API Array triu(const Array& x, std::int64_t k = 0);
// bool: |a - b| <= atol + rtol |b|, of real arrays; infinities are close to themselves, NaN where equal_nan says so.
LAZULI_API Array isclose(const Array& a, const Array& b, double rtol = 1e-5, double atol = 1e-8,
                         bool equal_nan = false);
LAZULI_API Array allclose(const Array& a, const Array& b, double rtol = 1e-5, double atol = 1e-8,
                          bool equal_nan = false);  // bool [], true of no elements
// NaN becomes `nan`; infinities these, or the largest and smallest finite value of the dtype. Integers stay.
LAZULI_API Array nan_to_num(const Array& x, double nan = 0, std::optional<double> positive_infinity = {},
                            std::optional<double> negative_infinity = {});

// More views
LAZULI_API Array squeeze(const Array& x, Dims axes);
LAZULI_API Array squeeze(const Array& x);                 // every axis of size 1
LAZULI_API Array expand_dims(const Array& x, Dims axes);  // axes of the result
LAZULI_API Array flatten(const Array& x, std::int64_t start_axis = 0, std::int64_t end_axis = -1);  // both ends joined
LAZULI_API Array unflatten(const Array& x, std::int64_t axis, Shape shape);                // one size may be -1
LAZULI_API Array moveaxis(const Array& x, std::int64_t source, std::int64_t destination);  // the rest in order
LAZULI_API Array flip(const Array& x, Dims axes);
LAZULI_API Array flip(const Array& x);  // every axis
// Element i is x[offset + Σ i[axis] strides[axis]] of x in row-major order; strides of any sign, all of it inside x.
LAZULI_API Array as_strided(const Array& x, Shape shape, Dims strides, std::int64_t offset = 0);
LAZULI_API std::vector<Array> broadcast_arrays(const std::vector<Array>& arrays);
enum class Indexing : std::uint8_t { xy, ij };
// One array for each of `axes` [n]: its values along its own axis of the grid, the others broadcast (sparse: of size
// 1). xy exchanges the first two axes, as images have them.
LAZULI_API std::vector<Array> meshgrid(const std::vector<Array>& axes, bool sparse = false,
                                       Indexing indexing = Indexing::xy);
// Elements (i, i + offset) of the planes of two axes; the axis of the diagonal is the last.
LAZULI_API Array diagonal(const Array& x, std::int64_t offset = 0, std::int64_t axis1 = 0, std::int64_t axis2 = 1);
LAZULI_API Array diag(const Array& x, std::int64_t k = 0);  // of a matrix its diagonal; of [n] the matrix with that one
LAZULI_API Array trace(const Array& x, std::int64_t offset = 0, std::int64_t axis1 = 0, std::int64_t axis2 = 1);
// Equal parts; or parts that begin at 0 and at these positions, each from 0 to the size (numpy). {2} is a number of
// parts, Dims{2} a position.
LAZULI_API std::vector<Array> split(const Array& x, std::int64_t parts, std::int64_t axis = 0);
LAZULI_API std::vector<Array> split(const Array& x, const Dims& positions, std::int64_t axis = 0);

// Copies of the elements
// x side by side, so many times along each axis; counts and axes are aligned from the right.
LAZULI_API Array tile(const Array& x, Dims repetitions);
LAZULI_API Array repeat(const Array& x, std::int64_t repeats, std::int64_t axis);  // each index, so many times
LAZULI_API Array repeat(const Array& x, std::int64_t repeats);                     // each element; [n]
// Index i goes to i + shift, modulo the size of the axis. Axes may stand twice, and take both shifts.
LAZULI_API Array roll(const Array& x, std::int64_t shift, std::int64_t axis);
LAZULI_API Array roll(const Array& x, const Dims& shifts, const Dims& axes);
LAZULI_API Array roll(const Array& x, std::int64_t shift);  // of the elements in row-major order

enum class PadMode : std::uint8_t {
  constant,   // a value
  edge,       // the nearest element
  reflect,    // mirrored at the outermost elements, which stand once
  symmetric,  // mirrored beyond them: they stand twice
  wrap        // from the other end
};
struct LAZULI_API PadWidth {
  std::int64_t before = 0, after = 0;
};
// Elements around x, of every axis or of all alike where one width is given. Modes but constant take no empty axes.
LAZULI_API Array pad(const Array& x, const std::vector<PadWidth>& widths, PadMode mode = PadMode::constant,
                     const Array& value = 0);

// Elements and slices by their indices
// indices i32 [..., k]: the slices of x at these places of its first k axes, [..., the axes after them]. The first
// `batch_dims` axes are common to both, and k counts from behind them (ONNX GatherND).
LAZULI_API Array gather_nd(const Array& x, const Array& indices, std::int64_t batch_dims = 0);
// What becomes of an element that is written to. Each result is rounded to the dtype; bool knows `replace` alone.
enum class Scatter : std::uint8_t { replace, add, multiply, max, min };
// `base` with updates[i] put to i with i[axis] = indices[i], one after another in row-major order (ONNX
// ScatterElements; mlx: put_along_axis and scatter_add_axis). Indices have the shape of base, but along the axis, and
// updates that of indices, or one that broadcasts to it. The memory of a donated base becomes the result's.
LAZULI_API Array scatter(const Array& base, const Array& indices, const Array& updates, std::int64_t axis,
                         Scatter reduction = Scatter::replace);
// indices i32 [..., k]: slices of updates [..., the axes of base after the first k] to these places, one after another
// (ONNX ScatterND).
LAZULI_API Array scatter_nd(const Array& base, const Array& indices, const Array& updates,
                            Scatter reduction = Scatter::replace);

// More products: of real operands by matmul, of integers by mul and sum
LAZULI_API Array inner(const Array& a, const Array& b);  // sums over the last axes: [..., K], [..., K]; scalars: a b
LAZULI_API Array outer(const Array& a, const Array& b);  // of the elements of both in row-major order, [M, N]
LAZULI_API Array vecdot(const Array& a, const Array& b, std::int64_t axis = -1);    // sum of a b along the axis
LAZULI_API Array tensordot(const Array& a, const Array& b, std::int64_t axes = 2);  // the last of a, the first of b
LAZULI_API Array tensordot(const Array& a, const Array& b, const Dims& a_axes, const Dims& b_axes);
LAZULI_API Array addmm(const Array& c, const Array& a, const Array& b, double alpha = 1, double beta = 1);
// Sums of products in numpy's notation: "bij,bjk->bik"; a letter for each axis, "..." for axes that broadcast. A letter
// that stands twice in one operand is its diagonal. Without "->" the result has the letters that stand once, in the
// order of the alphabet, behind "...". Of more than two operands the two whose product is smallest against what they
// are are multiplied first; each product is rounded to the dtype.
LAZULI_API Array einsum(std::string_view equation, const std::vector<Array>& operands);

}  // namespace lazuli
