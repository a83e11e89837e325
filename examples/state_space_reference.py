# SPDX-License-Identifier: MIT
"""What state_space.cc computes, by numpy in float64: python3 state_space_reference.py > state_space_figures.h"""

import numpy
from formula_weights import formula_weights, write_figures

WIDTH, INNER, STATES, RANK, KERNEL, LAYERS, TOKENS = 24, 48, 8, 4, 4, 2, 12


def softplus(x):
    return numpy.logaddexp(0, x)


def silu(x):
    return x / (1 + numpy.exp(-x))


def rms_norm(x, weight):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


class Layer:
    def __init__(self, index):
        def weights(rows, columns, place):
            return formula_weights((rows, columns), 100 * (index + 1) + place, 2.0 / columns**0.5)

        def vector(size, place):
            return formula_weights((size,), 100 * (index + 1) + place, 0.5)

        self.norm = 1 + vector(WIDTH, 1)
        self.into = weights(2 * INNER, WIDTH, 2)
        self.kernel = formula_weights((INNER, KERNEL), 100 * (index + 1) + 3, 0.7)
        self.kernel_bias = vector(INNER, 4)
        self.select = weights(RANK + 2 * STATES, INNER, 5)
        self.step = weights(INNER, RANK, 6)
        self.step_bias = vector(INNER, 7)
        self.log_decay = formula_weights((INNER, STATES), 100 * (index + 1) + 8, 1.0)
        self.skip = 1 + vector(INNER, 9)
        self.out = weights(WIDTH, INNER, 10)

    def __call__(self, x):
        u, gate = numpy.split(rms_norm(x, self.norm) @ self.into.T, 2, -1)
        padded = numpy.concatenate([numpy.zeros((KERNEL - 1, INNER)), u])
        u = silu(sum(padded[k : k + len(u)] * self.kernel[:, k] for k in range(KERNEL)) + self.kernel_bias)
        rank, b, c = numpy.split(u @ self.select.T, [RANK, RANK + STATES], -1)
        delta = softplus(rank @ self.step.T + self.step_bias)
        decay = -numpy.exp(self.log_decay)
        state, y = numpy.zeros((INNER, STATES)), []
        for t in range(len(u)):
            state = numpy.exp(delta[t, :, None] * decay) * state + (delta[t] * u[t])[:, None] * b[t]
            y.append(state @ c[t] + self.skip * u[t])
        return x + (numpy.array(y) * silu(gate)) @ self.out.T


def main():
    x = formula_weights((TOKENS, WIDTH), 1, 1.0)
    for layer in [Layer(index) for index in range(LAYERS)]:
        x = layer(x)
    write_figures("state_space_reference.py", x)


main()
