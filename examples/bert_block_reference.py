# SPDX-License-Identifier: MIT
"""What bert_block.cc computes, by numpy in float64: python3 bert_block_reference.py > bert_block_figures.h"""

import math

import numpy
from formula_weights import formula_weights, write_figures

BATCH, LENGTH, WIDTH, HEADS, HIDDEN = 2, 7, 48, 4, 192
LENGTHS = [7, 4]  # tokens of each sequence; the rest is padding


def weights(rows, columns, seed):
    return formula_weights((rows, columns), seed, 2.0 / columns**0.5)


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    return centred / numpy.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-12) * weight + bias


def softmax(x):
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def main():
    x = formula_weights((BATCH, LENGTH, WIDTH), 1, 1.0)
    bias = [formula_weights((size,), 20 + i, 0.1) for i, size in enumerate([WIDTH, WIDTH, WIDTH, WIDTH, HIDDEN, WIDTH])]

    def heads_of(seed):
        projected = x @ weights(WIDTH, WIDTH, seed).T + bias[seed - 2]
        return projected.reshape(BATCH, LENGTH, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

    q, k, v = heads_of(2), heads_of(3), heads_of(4)
    scores = q @ k.transpose(0, 1, 3, 2) / (WIDTH // HEADS) ** 0.5
    for row, length in enumerate(LENGTHS):
        scores[row, :, :, length:] = -1e9
    mixed = (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(BATCH, LENGTH, WIDTH)
    norm = [formula_weights((WIDTH,), 30 + i, 0.5) for i in range(4)]
    x = layer_norm(x + mixed @ weights(WIDTH, WIDTH, 5).T + bias[3], 1 + norm[0], norm[1])
    h = x @ weights(HIDDEN, WIDTH, 6).T + bias[4]
    h = 0.5 * h * (1 + numpy.vectorize(math.erf)(h / 2**0.5))
    y = layer_norm(x + h @ weights(WIDTH, HIDDEN, 7).T + bias[5], 1 + norm[2], norm[3])
    write_figures("bert_block_reference.py", y.reshape(-1, WIDTH)[:, ::12])


main()
