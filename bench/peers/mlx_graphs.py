# SPDX-License-Identifier: MIT
"""The graphs of bench/plain_graphs in MLX, weight for weight, each as its user would write it."""

import mlx.core as mx
import mlx.nn
import numpy

import plain_graphs
from formula_weights import formula_weights


class Weights:
    """In the order they are asked for, which is that of bench/plain_graphs/cases.cc."""

    def __init__(self, dtype):
        self.dtype, self.seed = dtype, 0

    def __call__(self, shape, scale):
        self.seed += 1
        return mx.array(formula_weights(shape, self.seed, scale).astype(numpy.float32))

    def matrix(self, outputs, inputs):
        return self((outputs, inputs), 2 / numpy.sqrt(inputs)).astype(self.dtype)

    def dense(self, inputs, outputs):
        return self.matrix(outputs, inputs), self((outputs,), 0.1).astype(self.dtype)

    def norm(self, width):
        return 1 + self((width,), 0.5), self((width,), 0.5)

    def kernel(self, outputs, size, inputs):
        return self((outputs, size, size, inputs), 2 / numpy.sqrt(size * size * inputs)), self((outputs,), 0.1)


def dense(x, weights):
    matrix, bias = weights
    return mx.addmm(bias, x, matrix.T)


def norm(x, weights):
    return mx.fast.layer_norm(x, *weights, 1e-5)


# Each takes the weights' source and gives the function of the inputs.


def mlp(weights):
    up, down = weights.dense(1024, 4096), weights.dense(4096, 1024)
    return lambda x: dense(mlx.nn.gelu(dense(x, up)), down)


def attention(_):
    return lambda q, k, v, mask=None: mx.fast.scaled_dot_product_attention(q, k, v, scale=0.125, mask=mask)


def split_heads(x, heads):
    return x.reshape(1, x.shape[0], heads, 64).transpose(0, 2, 1, 3)


def merge_heads(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[2], -1)


def encoder(weights):
    heads, width = 10, 640
    layers = []
    for _ in range(4):
        projections = [weights.dense(width, width) for _ in range(4)]
        attention_norm = weights.norm(width)
        mlp = weights.dense(width, 4 * width), weights.dense(4 * width, width)
        layers.append((projections, attention_norm, mlp, weights.norm(width)))

    def run(x):
        for (query, key, value, output), attention_norm, (up, down), mlp_norm in layers:
            q, k, v = (split_heads(dense(x, projection), heads) for projection in (query, key, value))
            mixed = merge_heads(mx.fast.scaled_dot_product_attention(q, k, v, scale=0.125))
            x = norm(x + dense(mixed, output), attention_norm)
            x = norm(x + dense(mlx.nn.gelu(dense(x, up)), down), mlp_norm)
        return x

    return run


def rotated(x, cosines, sines):
    low, high = mx.split(x, 2, axis=-1)
    return x * cosines + mx.concatenate([-high, low], axis=-1) * sines


def decoder(weights):
    heads, width, hidden = 16, 1024, 2816
    layers = []
    for _ in range(4):
        attention_norm = 1 + weights((width,), 0.5)
        projections = [weights.matrix(width, width) for _ in range(4)]
        mlp_norm = 1 + weights((width,), 0.5)
        mlp = weights.matrix(hidden, width), weights.matrix(hidden, width), weights.matrix(width, hidden)
        layers.append((attention_norm, projections, mlp_norm, mlp))

    def run(x, cosines, sines, mask, *caches):
        for layer, (attention_norm, (query, key, value, output), mlp_norm, (gate, up, down)) in enumerate(layers):
            h = mx.fast.rms_norm(x, attention_norm, 1e-5)
            q, k = (rotated(split_heads(h @ projection.T, heads), cosines, sines) for projection in (query, key))
            v = split_heads(h @ value.T, heads)
            if caches:
                k = mx.concatenate([caches[2 * layer], k], axis=2)
                v = mx.concatenate([caches[2 * layer + 1], v], axis=2)
            x = x + merge_heads(mx.fast.scaled_dot_product_attention(q, k, v, scale=0.125, mask=mask)) @ output.T
            g = mx.fast.rms_norm(x, mlp_norm, 1e-5)
            x = x + (mlx.nn.silu(g @ gate.T) * (g @ up.T)) @ down.T
        return x

    return run


def convolution(x, weights, groups=1):
    kernel, bias = weights
    return mx.conv2d(x, kernel, padding=kernel.shape[1] // 2, groups=groups) + bias


def resnet_block(weights):
    narrow, middle, wide = weights.kernel(64, 1, 256), weights.kernel(64, 3, 64), weights.kernel(256, 1, 64)

    def run(x):
        hidden = mlx.nn.relu(convolution(mlx.nn.relu(convolution(x, narrow)), middle))
        return mlx.nn.relu(convolution(hidden, wide) + x)

    return run


def mobilenet_block(weights):
    wide, depthwise, narrow = weights.kernel(192, 1, 32), weights.kernel(192, 3, 1), weights.kernel(32, 1, 192)

    def run(x):
        hidden = mlx.nn.relu6(convolution(mlx.nn.relu6(convolution(x, wide)), depthwise, groups=192))
        return x + convolution(hidden, narrow)

    return run


def norm_chain(weights):
    norms = [weights.norm(1024) for _ in range(4)]

    def run(x, y):
        for each in norms:
            x = norm(x + y, each)
        return x

    return run


def softmax_chain(_):
    return lambda x, y: mx.softmax(x * 0.5 + y, axis=-1) * x


def gelu_chain(_):
    return lambda x, y: mlx.nn.gelu(x * 1.5 + y) * x + y


def column_mean(_):
    return lambda x: mx.mean(x, axis=0)


def long_chain(_):
    def run(x):
        for _ in range(5000):
            x = x * 0.999 + 0.001
        return x

    return run


BUILDERS = {
    "mlp_bf16": mlp,
    **{build.__name__: build for build in (mlp, attention, encoder, decoder, resnet_block, mobilenet_block, norm_chain,
                                           softmax_chain, gelu_chain, column_mean, long_chain)},
}


def function_of(name):
    """The compiled function, and its inputs. Where weights are of bf16, inputs and arithmetic are as well."""
    dtype = mx.bfloat16 if plain_graphs.has_bf16_weights(name) else mx.float32
    inputs = [mx.array(x.astype(numpy.float32)).astype(dtype) for x in plain_graphs.inputs_of(name)]
    mx.eval(inputs)
    return mx.compile(BUILDERS[plain_graphs.family(name)](Weights(dtype))), inputs
