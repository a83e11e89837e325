# SPDX-License-Identifier: MIT
"""The graphs of bench/plain_graphs as ONNX models, weight for weight. Images are [N, C, H, W] here, and turned."""

import ml_dtypes
import numpy
import onnx.reference
from onnx import helper, numpy_helper

import plain_graphs
from formula_weights import formula_weights


class Model:
    """An ONNX model of one element type; operators are called by name: model.MatMul(x, y)."""

    def __init__(self, dtype, bf16_matrices=False):
        self.dtype, self.bf16_matrices = numpy.dtype(dtype), bf16_matrices
        self.nodes, self.initializers, self.inputs, self.seed = [], [], [], 0

    def input(self, shape):
        name = f"input{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(self.dtype), shape))
        return name

    def constant(self, values):
        name = f"constant{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(numpy.ascontiguousarray(values), name))
        return name

    def number(self, value):
        return self.constant(numpy.array(value, self.dtype))

    def weights(self, shape, scale):
        self.seed += 1
        return formula_weights(shape, self.seed, scale).astype(self.dtype)

    def __getattr__(self, operator):
        def call(*operands, outputs=1, **attributes):
            names = [f"{operator}{len(self.nodes)}_{i}" for i in range(outputs)]
            self.nodes.append(helper.make_node(operator, operands, names, **attributes))
            return names[0] if outputs == 1 else names

        return call

    def bytes(self, result):
        output = helper.make_tensor_value_info(result, helper.np_dtype_to_tensor_dtype(self.dtype), None)
        graph = helper.make_graph(self.nodes, "plain", self.inputs, [output], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        return model.SerializeToString()


def matrix(m, outputs, inputs):
    values = m.weights((outputs, inputs), 2 / numpy.sqrt(inputs))
    if m.bf16_matrices:
        values = values.astype(ml_dtypes.bfloat16).astype(m.dtype)
    return m.constant(values.T)


def dense(m, x, inputs, outputs):
    weight = matrix(m, outputs, inputs)
    return m.Add(m.MatMul(x, weight), m.constant(m.weights((outputs,), 0.1)))


def norm(m, x, width):
    scale = m.constant(1 + m.weights((width,), 0.5))
    return m.LayerNormalization(x, scale, m.constant(m.weights((width,), 0.5)), axis=-1, epsilon=1e-5)


def mlp(m, x):
    return dense(m, m.Gelu(dense(m, x, 1024, 4096)), 4096, 1024)


def attention(m, q, k, v, mask=None):
    scores = m.Mul(m.MatMul(q, m.Transpose(k, perm=[0, 1, 3, 2])), m.number(0.125))
    if mask:
        scores = m.Add(scores, mask)
    return m.MatMul(m.Softmax(scores, axis=-1), v)


def split_heads(m, x, rows, heads):
    return m.Transpose(m.Reshape(x, m.constant(numpy.array([1, rows, heads, 64]))), perm=[0, 2, 1, 3])


def merge_heads(m, x, rows, heads):
    return m.Reshape(m.Transpose(x, perm=[0, 2, 1, 3]), m.constant(numpy.array([rows, heads * 64])))


def encoder(m, x):
    heads, width, rows = 10, 640, 128
    for _ in range(4):
        q, k, v = (split_heads(m, dense(m, x, width, width), rows, heads) for _ in range(3))
        mixed = merge_heads(m, attention(m, q, k, v), rows, heads)
        x = norm(m, m.Add(x, dense(m, mixed, width, width)), width)
        hidden = m.Gelu(dense(m, x, width, 4 * width))
        x = norm(m, m.Add(x, dense(m, hidden, 4 * width, width)), width)
    return x


def rms_norm(m, x, width):
    mean = m.ReduceMean(m.Mul(x, x), m.constant(numpy.array([-1])), keepdims=1)
    normal = m.Div(x, m.Sqrt(m.Add(mean, m.number(1e-5))))
    return m.Mul(normal, m.constant(1 + m.weights((width,), 0.5)))


def rotated(m, x, cosines, sines):
    low, high = m.Split(x, axis=-1, num_outputs=2, outputs=2)
    return m.Add(m.Mul(x, cosines), m.Mul(m.Concat(m.Neg(high), low, axis=-1), sines))


def decoder(m, x, cosines, sines, mask, *caches):
    heads, width, hidden = 16, 1024, 2816
    rows = 1 if caches else 128
    for layer in range(4):
        h = rms_norm(m, x, width)
        query, key, value, output = (matrix(m, width, width) for _ in range(4))
        q = rotated(m, split_heads(m, m.MatMul(h, query), rows, heads), cosines, sines)
        k = rotated(m, split_heads(m, m.MatMul(h, key), rows, heads), cosines, sines)
        v = split_heads(m, m.MatMul(h, value), rows, heads)
        if caches:
            k = m.Concat(caches[2 * layer], k, axis=2)
            v = m.Concat(caches[2 * layer + 1], v, axis=2)
        x = m.Add(x, m.MatMul(merge_heads(m, attention(m, q, k, v, mask), rows, heads), output))
        g = rms_norm(m, x, width)
        gate, up = matrix(m, hidden, width), matrix(m, hidden, width)
        down = matrix(m, width, hidden)
        gated = m.MatMul(g, gate)
        x = m.Add(x, m.MatMul(m.Mul(m.Mul(gated, m.Sigmoid(gated)), m.MatMul(g, up)), down))
    return x


def convolution(m, x, inputs, outputs, size, groups=1):
    channels = inputs // groups
    kernel = m.weights((outputs, size, size, channels), 2 / numpy.sqrt(size * size * channels))
    bias = m.constant(m.weights((outputs,), 0.1))
    return m.Conv(x, m.constant(kernel.transpose(0, 3, 1, 2)), bias, pads=[size // 2] * 4, group=groups)


def resnet_block(m, x):
    middle = m.Relu(convolution(m, m.Relu(convolution(m, x, 256, 64, 1)), 64, 64, 3))
    return m.Relu(m.Add(convolution(m, middle, 64, 256, 1), x))


def mobilenet_block(m, x):
    low, high = m.number(0), m.number(6)
    wide = m.Clip(convolution(m, x, 32, 192, 1), low, high)
    depthwise = m.Clip(convolution(m, wide, 192, 192, 3, groups=192), low, high)
    return m.Add(x, convolution(m, depthwise, 192, 32, 1))


def norm_chain(m, x, y):
    for _ in range(4):
        x = norm(m, m.Add(x, y), 1024)
    return x


def softmax_chain(m, x, y):
    return m.Mul(m.Softmax(m.Add(m.Mul(x, m.number(0.5)), y), axis=-1), x)


def gelu_chain(m, x, y):
    return m.Add(m.Mul(m.Gelu(m.Add(m.Mul(x, m.number(1.5)), y)), x), y)


def column_mean(m, x):
    return m.ReduceMean(x, m.constant(numpy.array([0])), keepdims=0)


def long_chain(m, x):
    for _ in range(5000):
        x = m.Add(m.Mul(x, m.number(0.999)), m.number(0.001))
    return x


BUILDERS = {
    "mlp_bf16": mlp,
    **{build.__name__: build for build in (mlp, attention, encoder, decoder, resnet_block, mobilenet_block, norm_chain,
                                           softmax_chain, gelu_chain, column_mean, long_chain)},
}


def is_image(name):
    return name.endswith("net_block")


def as_lazuli(name, result):
    return (result.transpose(0, 2, 3, 1) if is_image(name) else result).ravel()


def model_of(name, dtype):
    """The serialised model, and its inputs by name. Matrices that lazuli has in bf16 have values of it."""
    model = Model(dtype, plain_graphs.has_bf16_weights(name))
    arrays = [x.astype(dtype) for x in plain_graphs.inputs_of(name)]
    if is_image(name):
        arrays = [numpy.ascontiguousarray(x.transpose(0, 3, 1, 2)) for x in arrays]
    result = BUILDERS[plain_graphs.family(name)](model, *(model.input(x.shape) for x in arrays))
    return model.bytes(result), {f"input{i}": x for i, x in enumerate(arrays)}


def exact(name):
    """The result by ONNX's reference in f64."""
    model, inputs = model_of(name, numpy.float64)
    return as_lazuli(name, onnx.reference.ReferenceEvaluator(onnx.load_from_string(model)).run(None, inputs)[0])
