# SPDX-License-Identifier: MIT
"""The weights of formula_weights.h, and how figures are written for C++."""

import numpy


def formula_weights(shape, seed, scale):
    index = numpy.arange(1, numpy.prod(shape) + 1, dtype=numpy.uint64)
    mask = numpy.uint64(0xFFFFFFFF)
    hashed = (index * numpy.uint64(2654435761) + numpy.uint64(seed * 40503)) & mask
    hashed = ((hashed ^ (hashed >> numpy.uint64(15))) * numpy.uint64(2246822519)) & mask
    hashed ^= hashed >> numpy.uint64(13)
    values = scale * (2.0 * hashed.astype(numpy.float64) / 4294967296.0 - 1.0)
    return values.astype(numpy.float32).astype(numpy.float64).reshape(shape)


def write_figures(script, values):
    print(f"// SPDX-License-Identifier: MIT\n// Printed by {script}.\n#pragma once\n\n// clang-format off")
    print("inline constexpr float expected_values[] = {")
    flat = numpy.asarray(values).ravel()
    for begin in range(0, flat.size, 6):
        print("    " + ", ".join(f"{value:.7e}f" for value in flat[begin:begin + 6]) + ",")
    print("};")
