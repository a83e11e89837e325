# SPDX-License-Identifier: MIT
"""Plain graphs in MLX on the CPU, compiled by mx.compile, on request (plain_graphs.serve).

Its CPU backend runs on one thread and has no setting for it. Only products in f32 can have more: the wheel's reference
BLAS is replaced by OpenBLAS.
"""

import sys

import openblas  # before MLX

import mlx.core as mx
import numpy

import mlx_graphs
import plain_graphs


def main():
    openblas.set_threads(int(sys.argv[1]))
    mx.set_default_device(mx.cpu)

    def prepare(name):
        function, inputs = mlx_graphs.function_of(name)

        def run():
            result = function(*inputs)
            mx.eval(result)
            return result

        return run

    plain_graphs.serve(mx.__version__, list(plain_graphs.SHAPES), prepare,
                       lambda _, result: numpy.array(result.astype(mx.float32)))


if __name__ == "__main__":
    main()
