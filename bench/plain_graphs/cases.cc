// SPDX-License-Identifier: MIT
#include <lazuli/bench/plain_graphs/cases.h>
#include <lazuli/examples/formula_weights.h>

#include <cmath>
#include <cstdint>

namespace lazuli::bench {
namespace {

using Arrays = std::vector<Array>;

// In the order they are asked for, which is that of plain_graphs.py.
class Weights {
 public:
  explicit Weights(DType dtype = DType::f32) : dtype_(dtype) {}

  Array operator()(Shape shape, double scale) { return formula_weights(std::move(shape), ++seed_, scale); }
  Array matrix(std::int64_t outputs, std::int64_t inputs) {
    return cast((*this)({outputs, inputs}, 2 / std::sqrt(static_cast<double>(inputs))), dtype_);
  }
  Array kernel(std::int64_t outputs, std::int64_t size, std::int64_t inputs) {
    return (*this)({outputs, size, size, inputs}, 2 / std::sqrt(static_cast<double>(size * size * inputs)));
  }

 private:
  DType dtype_;
  std::uint32_t seed_ = 0;
};

Array dense(Weights& weights, const Array& x, std::int64_t outputs) {
  const Array matrix = weights.matrix(outputs, x.size(-1));
  const Array bias = weights({outputs}, 0.1);
  return linear(x, matrix) + bias;
}

Array norm(Weights& weights, const Array& x) {
  const Array scale = 1.0f + weights({x.size(-1)}, 0.5);
  const Array bias = weights({x.size(-1)}, 0.5);
  return layer_norm(x, scale, bias, 1e-5);
}

Arrays mlp(const Arrays& in, DType dtype) {
  Weights weights(dtype);
  const Array hidden = gelu(dense(weights, in[0], 4096));
  return {dense(weights, hidden, 1024)};
}

// q, k, v [1, heads, T, d], and a mask of scores [1, 1, T, T].
Arrays attention(const Arrays& in) {
  AttentionOptions options;
  if (in.size() > 3) options.mask = in[3];
  return {scaled_dot_product_attention(in[0], in[1], in[2], options)};
}

// [T, D] as [1, heads, T, D / heads], and back
Array split_heads(const Array& x, std::int64_t heads) {
  return transpose(reshape(x, {1, x.size(0), heads, x.size(1) / heads}), {0, 2, 1, 3});
}
Array merge_heads(const Array& x) { return reshape(transpose(x, {0, 2, 1, 3}), {x.size(2), x.size(1) * x.size(3)}); }

// Layers of BERT (Devlin et al. 2018).
Arrays encoder(const Arrays& in) {
  constexpr std::int64_t heads = 10, width = 640;
  Weights weights;
  Array x = in[0];
  for (int layer = 0; layer < 4; ++layer) {
    const Array q = split_heads(dense(weights, x, width), heads);
    const Array k = split_heads(dense(weights, x, width), heads);
    const Array v = split_heads(dense(weights, x, width), heads);
    const Array mixed = merge_heads(scaled_dot_product_attention(q, k, v));
    x = norm(weights, x + dense(weights, mixed, width));
    const Array hidden = gelu(dense(weights, x, 4 * width));
    x = norm(weights, x + dense(weights, hidden, width));
  }
  return {x};
}

// x [1, heads, T, d] turned by cosines and sines [T, d] (Su et al. 2021, in the halves of Llama).
Array rotated(const Array& x, const Array& cosines, const Array& sines) {
  const Arrays halves = split(x, 2, -1);
  return x * cosines + concatenate({-halves[1], halves[0]}, -1) * sines;
}

// Layers of Llama (Touvron et al. 2023). Inputs: x [T, 1024], cosines and sines [T, 64], the mask [T, keys], then the
// keys and values so far of each layer, [1, 16, past, 64]; none for a prompt.
Arrays decoder(const Arrays& in) {
  constexpr std::int64_t heads = 16, width = 1024, hidden = 2816;
  Weights weights;
  Array x = in[0];
  for (std::size_t layer = 0; layer < 4; ++layer) {
    const Array attention_norm = 1.0f + weights({width}, 0.5);
    const Array h = rms_norm(x, attention_norm, 1e-5);
    const Array query_matrix = weights.matrix(width, width), key_matrix = weights.matrix(width, width);
    const Array value_matrix = weights.matrix(width, width), output_matrix = weights.matrix(width, width);
    const Array q = rotated(split_heads(linear(h, query_matrix), heads), in[1], in[2]);
    Array k = rotated(split_heads(linear(h, key_matrix), heads), in[1], in[2]);
    Array v = split_heads(linear(h, value_matrix), heads);
    if (in.size() > 4) {
      k = concatenate({in[4 + 2 * layer], k}, 2);
      v = concatenate({in[5 + 2 * layer], v}, 2);
    }
    AttentionOptions options;
    options.mask = in[3];
    x = x + linear(merge_heads(scaled_dot_product_attention(q, k, v, options)), output_matrix);
    const Array mlp_norm = 1.0f + weights({width}, 0.5);
    const Array g = rms_norm(x, mlp_norm, 1e-5);
    const Array gate_matrix = weights.matrix(hidden, width), up_matrix = weights.matrix(hidden, width);
    const Array down_matrix = weights.matrix(width, hidden);
    x = x + linear(silu(linear(g, gate_matrix)) * linear(g, up_matrix), down_matrix);
  }
  return {x};
}

Array convolution(Weights& weights, const Array& x, std::int64_t outputs, std::int64_t size) {
  const Array kernel = weights.kernel(outputs, size, x.size(-1));
  const Array bias = weights({outputs}, 0.1);
  return conv2d(x, kernel, {1}, {size / 2}) + bias;
}

// The bottleneck of ResNet-50 (He et al. 2015), batch norms folded into the convolutions.
Arrays resnet_block(const Arrays& in) {
  Weights weights;
  const Array narrow = relu(convolution(weights, in[0], 64, 1));
  const Array middle = relu(convolution(weights, narrow, 64, 3));
  return {relu(convolution(weights, middle, 256, 1) + in[0])};
}

// The inverted residual of MobileNet v2 (Sandler et al. 2018), batch norms folded likewise.
Arrays mobilenet_block(const Arrays& in) {
  const auto relu6 = [](const Array& x) { return minimum(relu(x), 6.0f); };
  Weights weights;
  const Array wide = relu6(convolution(weights, in[0], 192, 1));
  const Array kernel = weights.kernel(192, 3, 1);
  const Array bias = weights({192}, 0.1);
  const Array depthwise = relu6(conv2d(wide, kernel, {1}, {1}, {1}, 192) + bias);
  return {in[0] + convolution(weights, depthwise, 32, 1)};
}

Arrays norm_chain(const Arrays& in) {
  Weights weights;
  Array x = in[0];
  for (int i = 0; i < 4; ++i) x = norm(weights, x + in[1]);
  return {x};
}

Arrays softmax_chain(const Arrays& in) { return {softmax(in[0] * 0.5f + in[1]) * in[0]}; }

Arrays gelu_chain(const Arrays& in) { return {gelu(in[0] * 1.5f + in[1]) * in[0] + in[1]}; }

Arrays column_mean(const Arrays& in) { return {mean(in[0], {0})}; }

Arrays long_chain(const Arrays& in) {
  Array x = in[0];
  for (int i = 0; i < 5000; ++i) x = x * 0.999f + 0.001f;
  return {x};
}

std::vector<Shape> decoder_inputs(std::int64_t rows, std::int64_t past) {
  std::vector<Shape> shapes = {{rows, 1024}, {rows, 64}, {rows, 64}, {rows, past + rows}};
  for (int i = 0; past > 0 && i < 8; ++i) shapes.push_back({1, 16, past, 64});
  return shapes;
}

std::vector<Shape> attention_inputs(std::int64_t heads, std::int64_t rows, bool masked) {
  std::vector<Shape> shapes(3, {1, heads, rows, 64});
  if (masked) shapes.push_back({1, 1, rows, rows});
  return shapes;
}

}  // namespace

std::vector<PlainGraph> plain_graphs() {
  std::vector<PlainGraph> graphs;
  for (const std::int64_t rows : {1, 16, 128, 512})
    graphs.push_back(
        {"mlp/" + std::to_string(rows), {{rows, 1024}}, [](const Arrays& in) { return mlp(in, DType::f32); }});
  for (const std::int64_t rows : {1, 16, 128, 512})
    graphs.push_back(
        {"mlp_bf16/" + std::to_string(rows), {{rows, 1024}}, [](const Arrays& in) { return mlp(in, DType::bf16); }});
  graphs.push_back({"attention/8x256x64", attention_inputs(8, 256, false), attention});
  graphs.push_back({"attention/8x256x64/mask", attention_inputs(8, 256, true), attention});
  graphs.push_back({"attention/12x512x64", attention_inputs(12, 512, false), attention});
  graphs.push_back({"attention/12x512x64/mask", attention_inputs(12, 512, true), attention});
  graphs.push_back({"encoder", {{128, 640}}, encoder});
  graphs.push_back({"decoder/prompt", decoder_inputs(128, 0), decoder});
  graphs.push_back({"decoder/decode", decoder_inputs(1, 256), decoder});
  graphs.push_back({"resnet_block", {{1, 56, 56, 256}}, resnet_block});
  graphs.push_back({"mobilenet_block", {{1, 56, 56, 32}}, mobilenet_block});
  graphs.push_back({"norm_chain", {{512, 1024}, {1024}}, norm_chain});
  graphs.push_back({"softmax_chain", {{512, 4096}, {4096}}, softmax_chain});
  graphs.push_back({"gelu_chain", {{512, 4096}, {4096}}, gelu_chain});
  graphs.push_back({"column_mean", {{4096, 512}}, column_mean});
  graphs.push_back({"long_chain", {{1024}}, long_chain});
  return graphs;
}

}  // namespace lazuli::bench
