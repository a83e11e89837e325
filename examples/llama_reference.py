# SPDX-License-Identifier: MIT
"""What llama.cc computes, by numpy in float64: python3 llama_reference.py > llama_figures.h"""

import numpy
from formula_weights import formula_weights, write_figures

VOCABULARY, WIDTH, HEADS, KV_HEADS, HEAD_SIZE, HIDDEN, LAYERS = 96, 64, 4, 2, 16, 160, 2
PROMPT = [5, 17, 60, 2, 33]
GENERATED = 4


def rms_norm(x, weight):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def rope(x):  # [T, heads, d], rotate-half
    half = x.shape[-1] // 2
    angles = numpy.arange(x.shape[0])[:, None] * 10000.0 ** (-numpy.arange(half) / half)
    cos, sin = numpy.cos(angles)[:, None], numpy.sin(angles)[:, None]
    a, b = x[..., :half], x[..., half:]
    return numpy.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def softmax(x):
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Layer:
    def __init__(self, index):
        def weights(rows, columns, place):
            return formula_weights((rows, columns), 100 * (index + 1) + place, 2.0 / columns**0.5)

        self.q = weights(HEADS * HEAD_SIZE, WIDTH, 1)
        self.k = weights(KV_HEADS * HEAD_SIZE, WIDTH, 2)
        self.v = weights(KV_HEADS * HEAD_SIZE, WIDTH, 3)
        self.o = weights(WIDTH, HEADS * HEAD_SIZE, 4)
        self.gate = weights(HIDDEN, WIDTH, 5)
        self.up = weights(HIDDEN, WIDTH, 6)
        self.down = weights(WIDTH, HIDDEN, 7)
        self.norm_1 = 1 + formula_weights((WIDTH,), 100 * (index + 1) + 8, 0.5)
        self.norm_2 = 1 + formula_weights((WIDTH,), 100 * (index + 1) + 9, 0.5)

    def __call__(self, x):
        count = x.shape[0]
        h = rms_norm(x, self.norm_1)
        q = rope((h @ self.q.T).reshape(count, HEADS, HEAD_SIZE))
        k = rope((h @ self.k.T).reshape(count, KV_HEADS, HEAD_SIZE))
        v = (h @ self.v.T).reshape(count, KV_HEADS, HEAD_SIZE)
        k, v = (numpy.repeat(a, HEADS // KV_HEADS, 1) for a in (k, v))
        scores = numpy.einsum("thd,shd->hts", q, k) / HEAD_SIZE**0.5
        scores[:, numpy.triu(numpy.ones((count, count), bool), 1)] = -numpy.inf
        mixed = numpy.einsum("hts,shd->thd", softmax(scores), v).reshape(count, -1)
        x = x + mixed @ self.o.T
        h = rms_norm(x, self.norm_2)
        gate = h @ self.gate.T
        return x + (gate / (1 + numpy.exp(-gate)) * (h @ self.up.T)) @ self.down.T


def main():
    embedding = formula_weights((VOCABULARY, WIDTH), 1, 1.0)
    head = formula_weights((VOCABULARY, WIDTH), 2, 2.0 / WIDTH**0.5)
    layers = [Layer(i) for i in range(LAYERS)]
    tokens = list(PROMPT)
    logits = []
    for _ in range(GENERATED):
        x = embedding[tokens]
        for layer in layers:
            x = layer(x)
        logits.append((rms_norm(x[-1:], numpy.ones(WIDTH)) @ head.T)[0])
        tokens.append(int(logits[-1].argmax()))
    write_figures("llama_reference.py", [row[::8] for row in logits])


main()
