#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The network of cnn.cc in numpy and float64, by the definitions; prints cnn_figures.h.

    examples/cnn_reference.py > examples/cnn_figures.h
"""

import numpy as np


def values(seed: int, *shape: int) -> np.ndarray:
    """The numbers of cnn.cc: multiples of 2^-16 in [-1/2, 1/2), exact in f32."""
    at = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(1000 * seed)
    hashed = (at * np.uint64(2654435761)) % np.uint64(1 << 32) >> np.uint64(16)
    return (hashed.astype(np.float64) / 65536 - 0.5).reshape(shape)


def conv(x: np.ndarray, weight: np.ndarray, stride: int = 1, groups: int = 1) -> np.ndarray:
    """3x3, a border of zeros; x [N, H, W, C], weight [O, 3, 3, C / groups]."""
    images, height, width, channels = x.shape
    outputs = weight.shape[0]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.zeros((images, (height - 1) // stride + 1, (width - 1) // stride + 1, outputs))
    for output in range(outputs):
        first = output // (outputs // groups) * (channels // groups)
        for row in range(y.shape[1]):
            for column in range(y.shape[2]):
                top, left = row * stride, column * stride
                patch = padded[:, top : top + 3, left : left + 3, first : first + channels // groups]
                y[:, row, column, output] = (patch * weight[output]).sum(axis=(1, 2, 3))
    return y


def max_pool(x: np.ndarray) -> np.ndarray:
    images, height, width, channels = x.shape
    return x.reshape(images, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def network(x: np.ndarray) -> np.ndarray:
    relu = lambda y: np.maximum(y, 0)
    y = max_pool(relu(conv(x, values(1, 16, 3, 3, 1)) + values(2, 16)))
    y = relu(conv(y, values(3, 16, 3, 3, 1), groups=16) + values(4, 16))
    y = relu(y @ values(5, 24, 1, 1, 16).reshape(24, 16).T + values(6, 24))
    y = relu(conv(y, values(7, 32, 3, 3, 24), stride=2) + values(8, 32))
    logits = y.mean(axis=(1, 2)) @ values(9, 10, 32).T
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


print("// SPDX-License-Identifier: MIT")
print("// What the network of cnn.cc gives in float64: written by cnn_reference.py.")
print("#pragma once\n")
print("inline constexpr double expected_classes[2][10] = {")
for row in network(2 * values(10, 2, 28, 28, 1)):
    print("    {" + ", ".join(f"{value:.9f}" for value in row[:5]) + ",")
    print("     " + ", ".join(f"{value:.9f}" for value in row[5:]) + "},")
print("};")
