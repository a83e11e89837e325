#!/usr/bin/env python3
"""Fusions by themselves in lazuli and in MLX on the CPU, by turns in one run.

The shapes are those of lazuli_bench, in f32. MLX runs each formula as it is written and compiled by mx.compile; it
decides on its threads itself. Prints a table of medians and writes all samples as JSON. run_mlx.sh installs what this
needs.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time

import mlx.core as mx

WIDTHS = {"gelu_mul": 8192, "tanh_mul": 8192, "softcap": 32768}
ROWS = (1, 128, 512)
CAP = 30.0
MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}


def gelu_mul(x, y):
    return 0.5 * x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))) * y


def tanh_mul(x, y):
    return mx.tanh(x) * y


def softcap(x, _):
    return CAP * mx.tanh(x / CAP)


FORMULAS = {"gelu_mul": gelu_mul, "tanh_mul": tanh_mul, "softcap": softcap}


def mlx_samples():
    """Microseconds of one evaluation, by (fusion, rows) and the way it is run; the first evaluation is not counted."""
    samples = {}
    for fusion, formula in FORMULAS.items():
        for rows in ROWS:
            x, y = (mx.random.normal((rows, WIDTHS[fusion])) for _ in range(2))
            mx.eval(x, y)
            for way, function in (("mlx", formula), ("mlx compiled", mx.compile(formula))):
                mx.eval(function(x, y))
                start = time.perf_counter()
                mx.eval(function(x, y))
                samples[(fusion, rows, way)] = 1e6 * (time.perf_counter() - start)
    return samples


def lazuli_samples(program):
    pattern = f"^({'|'.join(WIDTHS)})/rows:({'|'.join(map(str, ROWS))})/fused"
    command = [program, f"--benchmark_filter={pattern}", "--benchmark_min_time=0.05", "--benchmark_format=json"]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout)
    samples = {}
    for run in report["benchmarks"]:
        fusion, rows = re.match(r"(\w+)/rows:(\d+)/", run["name"]).groups()
        samples[(fusion, int(rows), "lazuli")] = run["real_time"] * MICROSECONDS[run["time_unit"]]
    return samples


def measure(program, repetitions):
    samples = {}
    for repetition in range(repetitions):
        print(f"repetition {repetition + 1} of {repetitions}", file=sys.stderr)
        for key, value in (lazuli_samples(program) | mlx_samples()).items():
            samples.setdefault(key, []).append(value)
    return samples


def print_table(medians):
    print(f"MLX {mx.__version__} on the CPU; microseconds, medians\n")
    print(f"{'':24}{'lazuli':>12}{'MLX':>12}{'compiled':>12}{'MLX / lazuli':>14}")
    for fusion, width in WIDTHS.items():
        for rows in ROWS:
            ours, plain, compiled = (medians[(fusion, rows, way)] for way in ("lazuli", "mlx", "mlx compiled"))
            name = f"{fusion} [{rows}, {width}]"
            print(f"{name:24}{ours:12.1f}{plain:12.1f}{compiled:12.1f}{min(plain, compiled) / ours:14.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lazuli-bench", required=True, help="the program lazuli_bench")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--out", help="file for the samples, as JSON")
    arguments = parser.parse_args()
    mx.set_default_device(mx.cpu)
    samples = measure(arguments.lazuli_bench, arguments.reps)
    print_table({key: statistics.median(values) for key, values in samples.items()})
    if arguments.out:
        runs = [
            {"fusion": fusion, "rows": rows, "program": program, "microseconds": values}
            for (fusion, rows, program), values in samples.items()
        ]
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump({"mlx": mx.__version__, "runs": runs}, file, indent=1)


if __name__ == "__main__":
    main()
