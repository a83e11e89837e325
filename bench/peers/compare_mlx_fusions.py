#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
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
import time

import mlx.core as mx

import turns

WIDTHS = {"gelu_mul": 8192, "tanh_mul": 8192, "softcap": 32768}
ROWS = (1, 128, 512)
CAP = 30.0
PROGRAMS = ("lazuli", "mlx", "mlx compiled")
MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}


def gelu_mul(x, y):
    return 0.5 * x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))) * y


def tanh_mul(x, y):
    return mx.tanh(x) * y


def softcap(x, _):
    return CAP * mx.tanh(x / CAP)


FORMULAS = {"gelu_mul": gelu_mul, "tanh_mul": tanh_mul, "softcap": softcap}


class Mlx:
    def __init__(self, name, prepare):
        self.name = name
        self.prepare = prepare  # what is run of a formula

    def sample(self):
        """Microseconds of one evaluation by (fusion, rows); the first evaluation is not counted."""
        samples = {}
        for fusion, formula in FORMULAS.items():
            function = self.prepare(formula)
            for rows in ROWS:
                x, y = (mx.random.normal((rows, WIDTHS[fusion])) for _ in range(2))
                mx.eval(x, y)
                mx.eval(function(x, y))
                start = time.perf_counter()
                mx.eval(function(x, y))
                samples[(fusion, rows)] = 1e6 * (time.perf_counter() - start)
        return samples


class Lazuli:
    name = "lazuli"

    def __init__(self, program):
        pattern = f"^({'|'.join(WIDTHS)})/rows:({'|'.join(map(str, ROWS))})/fused"
        self.command = [program, f"--benchmark_filter={pattern}", "--benchmark_min_time=0.05", "--benchmark_format=json"]

    def sample(self):
        done = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        samples = {}
        for run in json.loads(done.stdout)["benchmarks"]:
            fusion, rows = re.match(r"(\w+)/rows:(\d+)/", run["name"]).groups()
            samples[(fusion, int(rows))] = run["real_time"] * MICROSECONDS[run["time_unit"]]
        return samples


def print_table(medians):
    print(f"MLX {mx.__version__} on the CPU; microseconds, medians\n")
    print(f"{'':24}{'lazuli':>12}{'MLX':>12}{'compiled':>12}{'MLX / lazuli':>14}")
    for fusion, width in WIDTHS.items():
        for rows in ROWS:
            ours, plain, compiled = (medians[(program, fusion, rows)] for program in PROGRAMS)
            name = f"{fusion} [{rows}, {width}]"
            print(f"{name:24}{ours:12.1f}{plain:12.1f}{compiled:12.1f}{min(plain, compiled) / ours:14.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lazuli-bench", required=True, help="the program lazuli_bench")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--out", help="file for the samples, as JSON")
    arguments = parser.parse_args()
    mx.set_default_device(mx.cpu)
    programs = [Lazuli(arguments.lazuli_bench), Mlx("mlx", lambda formula: formula), Mlx("mlx compiled", mx.compile)]
    runs = [
        {"fusion": fusion, "rows": rows, "program": program, "microseconds": values}
        for program, by_case in turns.measure(programs, arguments.reps).items()
        for (fusion, rows), values in by_case.items()
    ]
    print_table({(r["program"], r["fusion"], r["rows"]): statistics.median(r["microseconds"]) for r in runs})
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump({"mlx": mx.__version__, "runs": runs}, file, indent=1)


if __name__ == "__main__":
    main()
