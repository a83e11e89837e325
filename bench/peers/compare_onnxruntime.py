#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plain graphs in lazuli and in ONNX Runtime, by turns in one run.

Both have the same graphs and weights (bench/plain_graphs, plain_graphs.py), in f32; ONNX Runtime with all its
optimisations. lazuli stands fused, with every op a kernel of its own (none), and with composites spelled out as well
(primitive). Errors are the largest from ONNX's reference in f64, of its largest value. Prints a table of medians and
writes all samples as JSON. run_onnxruntime.sh installs what this needs.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import onnx.reference
import onnxruntime

import plain_graphs
import turns

SETTINGS = {"lazuli": [], "none": ["--fusion", "none"], "primitive": ["--fusion", "primitive"]}


class Lazuli:
    def __init__(self, name, program, threads, names, seconds):
        command = [program, "--threads", str(threads), *SETTINGS[name]]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name, self.names, self.seconds = name, names, seconds

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"compare: {self.name} ended at: {line}")
        return answer.strip()

    def sample(self):
        return {name: float(self.ask(f"time {name} {self.seconds}")) for name in self.names}

    def result(self, name):
        with tempfile.NamedTemporaryFile() as file:
            self.ask(f"result {name} {file.name}")
            return numpy.fromfile(file.name, numpy.float32)


class OnnxRuntime:
    name = "onnxruntime"

    def __init__(self, threads, names, seconds):
        self.clock, self.names, self.seconds = time.perf_counter, names, seconds
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        # Its threads would spin on into the next turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.runs = {}
        for name in names:
            model, inputs = plain_graphs.model_of(name, numpy.float32)
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self.runs[name] = lambda session=session, inputs=inputs: session.run(None, inputs)[0]
            self.runs[name]()

    def sample(self):
        return {name: self.time(self.runs[name]) for name in self.names}

    def time(self, run):
        samples, begin = [], self.clock()
        while len(samples) < 3 or self.clock() - begin < self.seconds:
            start = self.clock()
            run()
            samples.append(1e6 * (self.clock() - start))
        return statistics.median(samples)

    def result(self, name):
        return as_lazuli(name, self.runs[name]())


def as_lazuli(name, result):
    return (result.transpose(0, 2, 3, 1) if plain_graphs.is_image(name) else result).ravel()


def exact(name):
    model, inputs = plain_graphs.model_of(name, numpy.float64)
    return as_lazuli(name, onnx.reference.ReferenceEvaluator(onnx.load_from_string(model)).run(None, inputs)[0])


def error(result, expected):
    return float(numpy.max(numpy.abs(result - expected)) / numpy.max(numpy.abs(expected)))


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def print_table(report):
    settings = list(SETTINGS)
    print(f"{report['threads']} threads, ONNX Runtime {report['onnxruntime']}; microseconds, medians; ORT / lazuli\n")
    print(f"{'':26}" + "".join(f"{s:>11}" for s in settings) + f"{'ORT':>11}{'ratio':>7}{'error':>10}{'its':>10}")
    for row in report["graphs"]:
        line = f"{row['name']:26}" + "".join(f"{statistics.median(row[s]):11.0f}" for s in settings)
        if "onnxruntime" in row:
            line += f"{statistics.median(row['onnxruntime']):11.0f}{row['ratio']:7.2f}"
            line += "".join(f"{row['errors'][p]:10.1e}" for p in ("lazuli", "onnxruntime")) if "errors" in row else ""
        print(line)
    print(f"\ngeometric mean of the ratios: {report['mean_ratio']:.2f}")


def compare(program, threads, repetitions, seconds, with_errors):
    names = list(plain_graphs.GRAPHS)
    lazuli = [Lazuli(setting, program, threads, names, seconds) for setting in SETTINGS]
    own_names = lazuli[0].ask("list").split()
    for one in lazuli:
        one.names = own_names
    peer = OnnxRuntime(threads, names, seconds)
    samples = turns.measure([*lazuli, peer], repetitions)
    rows = []
    for name in own_names:
        row = {"name": name, **{program: by_name[name] for program, by_name in samples.items() if name in by_name}}
        if name in names:
            row["ratio"] = statistics.median(a / b for a, b in zip(row["onnxruntime"], row["lazuli"]))
            if with_errors:
                expected = exact(name)
                row["errors"] = {p.name: error(p.result(name), expected) for p in (lazuli[0], peer)}
        rows.append(row)
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    return {"threads": threads, "onnxruntime": onnxruntime.__version__, "graphs": rows,
            "mean_ratio": math.exp(statistics.fmean(map(math.log, ratios)))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the program lazuli_plain_graphs")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each graph in each turn")
    parser.add_argument("--no-errors", action="store_true", help="leave the reference in f64 out, which takes a minute")
    parser.add_argument("--out", help="file for the samples, as JSON")
    arguments = parser.parse_args()
    load_of_others = turns.load_of_others()
    reports = []
    for threads in arguments.threads:
        with_errors = not arguments.no_errors and threads == arguments.threads[0]
        reports.append(compare(arguments.program, threads, arguments.reps, arguments.seconds, with_errors))
        print_table(reports[-1])
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump({"cpu": cpu_name(), "load_of_others": load_of_others, "reports": reports}, file, indent=1)


if __name__ == "__main__":
    main()
