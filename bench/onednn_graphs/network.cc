// SPDX-License-Identifier: MIT
#include <lazuli/bench/onednn_graphs/network.h>

#include <algorithm>
#include <cmath>

namespace lazuli::bench {
namespace {

using dnnl::memory;
using dnnl::prop_kind;

Tag row_by_row(std::size_t rank) { return rank == 2 ? Tag::ab : rank == 3 ? Tag::abc : Tag::abcd; }

#if DNNL_VERSION_MAJOR >= 3
using Softmax = dnnl::softmax_forward;

Dims sizes_of(const memory& x) { return x.get_desc().get_dims(); }
Type type_of(const memory& x) { return x.get_desc().get_data_type(); }

template <class Primitive, class... Operands>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const PostOps& behind, Operands... operands) {
  return {engine, operands..., behind.attributes()};
}

dnnl::layer_normalization_forward::primitive_desc describe_norm(const dnnl::engine& engine, const memory::desc& x,
                                                                float epsilon, dnnl::normalization_flags flags) {
  return {engine, prop_kind::forward_inference, x, x, epsilon, flags};
}
#else
using Softmax = dnnl::softmax_v2_forward;

Dims sizes_of(const memory& x) { return x.get_desc().dims(); }
Type type_of(const memory& x) { return x.get_desc().data_type(); }

template <class Primitive, class... Operands>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const PostOps& behind, Operands... operands) {
  return {typename Primitive::desc(operands...), behind.attributes(), engine};
}

dnnl::layer_normalization_forward::primitive_desc describe_norm(const dnnl::engine& engine, const memory::desc& x,
                                                                float epsilon, dnnl::normalization_flags flags) {
  return {{prop_kind::forward_inference, x, epsilon, flags}, engine};
}
#endif

}  // namespace

PostOps& PostOps::then(Algorithm function, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops_.append_eltwise(function, alpha, beta);
#else
  ops_.append_eltwise(1, function, alpha, beta);
#endif
  return *this;
}

PostOps& PostOps::then(Algorithm operation, const memory& other) {
  ops_.append_binary(operation, other.get_desc());
  arguments_.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(ops_.len() - 1) | DNNL_ARG_SRC_1, other);
  return *this;
}

dnnl::primitive_attr PostOps::attributes() const {
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops_);
  return attributes;
}

memory Network::filled(const Dims& sizes, Tag tag, std::uint32_t seed, double scale, float offset) {
  const memory result = allocate(sizes, Type::f32, tag);
  const Array values = formula_weights(Shape(sizes.begin(), sizes.end()), seed, scale);
  const std::span<const float> from = values.data<float>();
  auto* to = static_cast<float*>(result.get_data_handle());
  std::transform(from.begin(), from.end(), to, [=](float value) { return value + offset; });
  return result;
}

memory Network::input(const Dims& sizes, Tag tag) { return filled(sizes, tag, next_input_++, 1, 0); }

memory Network::weights(const Dims& sizes, Tag tag, double scale, float offset) {
  return filled(sizes, tag, next_weight_++, scale, offset);
}

memory Network::number(float value, int rank) {
  const memory result =
      allocate(Dims(static_cast<std::size_t>(rank), 1), Type::f32, row_by_row(static_cast<std::size_t>(rank)));
  *static_cast<float*>(result.get_data_handle()) = value;
  return result;
}

memory Network::laid_out(const memory& values, const memory::desc& layout) {
  if (values.get_desc() == layout) return values;
  memory from = values, to(layout, engine_);
  dnnl::reorder(from, to).execute(stream_, from, to);
  stream_.wait();
  return to;
}

void Network::add(dnnl::primitive primitive, Arguments arguments, const PostOps& behind) {
  arguments.insert(behind.arguments().begin(), behind.arguments().end());
  steps_.emplace_back(std::move(primitive), std::move(arguments));
}

memory Network::product(const memory& x, const memory& y, const Dims& sizes, const PostOps& behind) {
  const memory result = allocate(sizes, Type::f32, row_by_row(sizes.size()));
  const auto description = describe<dnnl::matmul>(engine_, behind, x.get_desc(), y.get_desc(), result.get_desc());
  add(dnnl::matmul(description), {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, y}, {DNNL_ARG_DST, result}}, behind);
  return result;
}

memory Network::dense(const memory& x, std::int64_t outputs, Type type, const PostOps& behind) {
  const std::int64_t rows = sizes_of(x)[0], inputs = sizes_of(x)[1];
  const memory matrix = weights({inputs, outputs}, Tag::ba, 2 / std::sqrt(static_cast<double>(inputs)));
  const memory bias = weights({1, outputs}, Tag::ab, 0.1);
  const memory result = allocate({rows, outputs}, type, Tag::ab);
  const memory::desc any({inputs, outputs}, type_of(x), Tag::any);
  const auto description =
      describe<dnnl::matmul>(engine_, behind, x.get_desc(), any, bias.get_desc(), result.get_desc());
  add(dnnl::matmul(description),
      {{DNNL_ARG_SRC, x},
       {DNNL_ARG_WEIGHTS, laid_out(matrix, description.weights_desc())},
       {DNNL_ARG_BIAS, bias},
       {DNNL_ARG_DST, result}},
      behind);
  return result;
}

memory Network::convolution(const memory& x, std::int64_t outputs, std::int64_t size, bool depthwise,
                            const PostOps& behind) {
  Dims sizes = sizes_of(x);
  const std::int64_t inputs = depthwise ? 1 : sizes[1], pad = size / 2;
  const double scale = 2 / std::sqrt(static_cast<double>(size * size * inputs));
  const Dims kernel_sizes = depthwise ? Dims{outputs, 1, 1, size, size} : Dims{outputs, inputs, size, size};
  const memory kernel = weights(kernel_sizes, depthwise ? Tag::goihw : Tag::ohwi, scale);
  const memory bias = weights({outputs}, Tag::a, 0.1);
  sizes[1] = outputs;
  const memory result = allocate(sizes, Type::f32, Tag::nhwc);
  const auto description = describe<dnnl::convolution_forward>(
      engine_, behind, prop_kind::forward_inference, Algorithm::convolution_direct, x.get_desc(),
      memory::desc(kernel_sizes, Type::f32, Tag::any), bias.get_desc(), result.get_desc(), Dims{1, 1}, Dims{pad, pad},
      Dims{pad, pad});
  add(dnnl::convolution_forward(description),
      {{DNNL_ARG_SRC, x},
       {DNNL_ARG_WEIGHTS, laid_out(kernel, description.weights_desc())},
       {DNNL_ARG_BIAS, bias},
       {DNNL_ARG_DST, result}},
      behind);
  return result;
}

memory Network::elementwise(Algorithm operation, const memory& x, const memory& y, const PostOps& behind) {
  const memory result(x.get_desc(), engine_);
  const auto description =
      describe<dnnl::binary>(engine_, behind, operation, x.get_desc(), y.get_desc(), result.get_desc());
  add(dnnl::binary(description), {{DNNL_ARG_SRC_0, x}, {DNNL_ARG_SRC_1, y}, {DNNL_ARG_DST, result}}, behind);
  return result;
}

memory Network::softmax(const memory& x) {
  const memory result(x.get_desc(), engine_);
  const auto description =
      describe<Softmax>(engine_, PostOps(), prop_kind::forward_inference, Algorithm::softmax_accurate, x.get_desc(),
                        result.get_desc(), static_cast<int>(sizes_of(x).size()) - 1);
  add(Softmax(description), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, result}});
  return result;
}

memory Network::layer_norm(const memory& x, const memory& scale, const memory& shift) {
  using Flags = dnnl::normalization_flags;
  const memory result(x.get_desc(), engine_);
  const auto description = describe_norm(engine_, x.get_desc(), 1e-5f, Flags::use_scale | Flags::use_shift);
  add(dnnl::layer_normalization_forward(description),
      {{DNNL_ARG_SRC, x}, {DNNL_ARG_SCALE, scale}, {DNNL_ARG_SHIFT, shift}, {DNNL_ARG_DST, result}});
  return result;
}

memory Network::converted(const memory& x, Type type) {
  const memory result = allocate(sizes_of(x), type, row_by_row(sizes_of(x).size()));
  add(dnnl::reorder(x, result), {{DNNL_ARG_FROM, x}, {DNNL_ARG_TO, result}});
  return result;
}

void Network::run() {
  for (const auto& [primitive, arguments] : steps_) primitive.execute(stream_, arguments);
  stream_.wait();
}

std::span<const float> Network::values_of(const memory& result) const {
  return {static_cast<const float*>(result.get_data_handle()), result.get_desc().get_size() / sizeof(float)};
}

}  // namespace lazuli::bench
