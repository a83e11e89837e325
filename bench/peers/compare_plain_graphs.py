#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plain graphs in lazuli and in other programs, by turns in one run.

All have the same graphs and weights (bench/plain_graphs), in f32, and in bf16 where a row says so: lazuli then has
weights of bf16 and inputs and sums of f32, MLX inputs and results of bf16 as well, oneDNN inputs. The peers are ONNX
Runtime with all its optimisations, MLX on the CPU compiled by mx.compile, and oneDNN's primitives with the operations
behind them as post-ops, where it has those; a peer that cannot run is named and left out. lazuli stands fused, with
every op a kernel of its own (none), and with composites spelled out as well (primitive). Errors are the largest from
ONNX's reference in f64, of its largest value. Prints a table of medians and writes all samples as JSON.
run_plain_graphs.sh installs what this needs.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy

import plain_graphs
import turns

LAZULI = {"lazuli": [], "none": ["--fusion", "none"], "primitive": ["--fusion", "primitive"]}
# Of the largest value; beyond them a program computes something else. Rounding to bf16 costs 2^-9 at each step.
LARGEST_ERROR, LARGEST_BF16_ERROR = 1e-3, 1e-2
PEERS = {"onnxruntime": "ONNX Runtime", "mlx": "MLX", "onednn": "oneDNN"}


class Program:
    """One that answers the lines of plain_graphs.py."""

    def __init__(self, name, command, seconds):
        self.name, self.seconds = name, seconds
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.names = self.ask("list").split()

    def ask(self, line):
        try:
            print(line, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            raise EOFError(f"{self.name} ended at: {line}")
        return answer.strip()

    def sample(self):
        return {name: float(self.ask(f"time {name} {self.seconds}")) for name in self.names}

    def result(self, name):
        with tempfile.NamedTemporaryFile() as file:
            self.ask(f"result {name} {file.name}")
            return numpy.fromfile(file.name, numpy.float32)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def peer_command(peer, threads, onednn):
    if peer == "onednn":
        return [onednn, "--threads", str(threads)]
    return [sys.executable, str(pathlib.Path(__file__).with_name(f"serve_{peer}.py")), str(threads)]


def start_peers(arguments, threads):
    """The peers that run, and why the others do not."""
    running, missing = [], {}
    for peer in arguments.peers:
        try:
            running.append(Program(peer, peer_command(peer, threads, arguments.onednn), arguments.seconds))
        except (EOFError, OSError) as reason:
            missing[peer] = str(reason)
            print(f"compare: without {PEERS[peer]}: {reason}", file=sys.stderr)
    return running, missing


def error(result, expected):
    return float(numpy.max(numpy.abs(result - expected)) / numpy.max(numpy.abs(expected)))


def errors_of(name, programs):
    import onnx_graphs  # the reference; without errors nobody needs onnx

    expected = onnx_graphs.exact(name)
    errors = {program.name: error(program.result(name), expected) for program in programs if name in program.names}
    limit = LARGEST_BF16_ERROR if plain_graphs.has_bf16_weights(name) else LARGEST_ERROR
    for program, found in errors.items():
        if not found <= limit:
            sys.exit(f"compare: {name}: the error of {program} is {found:.1e}, expected at most {limit}")
    return errors


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def compare(arguments, threads, with_errors):
    lazuli = [
        Program(setting, [arguments.program, "--threads", str(threads), *options], arguments.seconds)
        for setting, options in LAZULI.items()
    ]
    peers, missing = start_peers(arguments, threads)
    samples = turns.measure([*lazuli, *peers], arguments.reps)
    graphs = []
    for name in lazuli[0].names:
        row = {"name": name, "samples": {p: by_name[name] for p, by_name in samples.items() if name in by_name}}
        ours = row["samples"]["lazuli"]
        # Neighbours in time share what the host does meanwhile.
        row["ratios"] = {
            peer.name: statistics.median(a / b for a, b in zip(row["samples"][peer.name], ours))
            for peer in peers
            if name in peer.names
        }
        if with_errors:
            row["errors"] = errors_of(name, [lazuli[0], *peers])
        graphs.append(row)
    report = {
        "threads": threads,
        "versions": {peer.name: peer.ask("version") for peer in peers},
        "missing": missing,
        "graphs": graphs,
        "mean_ratios": {
            peer.name: geometric_mean([row["ratios"][peer.name] for row in graphs if peer.name in row["ratios"]])
            for peer in peers
        },
    }
    for program in (*lazuli, *peers):
        program.end()
    return report


def print_table(report):
    peers = list(report["versions"])
    versions = ", ".join(f"{PEERS[peer]} {version}" for peer, version in report["versions"].items())
    print(f"{report['threads']} threads; {versions}; microseconds, medians; ratios: peer / lazuli; errors\n")
    columns = [*LAZULI, *peers]
    print(f"{'':26}" + "".join(f"{column:>13}" for column in columns) + "".join(f"{peer[:8]:>9}" for peer in peers))
    for row in report["graphs"]:
        line = f"{row['name']:26}"
        for column in columns:
            line += f"{statistics.median(row['samples'][column]):13.0f}" if column in row["samples"] else f"{'':13}"
        line += "".join(f"{row['ratios'][peer]:9.2f}" if peer in row["ratios"] else f"{'':9}" for peer in peers)
        line += "  " + " ".join(f"{name} {value:.1e}" for name, value in row.get("errors", {}).items())
        print(line.rstrip())
    for peer, ratio in report["mean_ratios"].items():
        print(f"\ngeometric mean of {PEERS[peer]} / lazuli: {ratio:.2f}", end="")
    print("\n")


def parse_peers(text):
    peers = [peer for peer in text.split(",") if peer]
    for peer in peers:
        if peer not in PEERS:
            raise argparse.ArgumentTypeError(f"no peer is named {peer}; there are {', '.join(PEERS)}")
    return peers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the program lazuli_plain_graphs")
    parser.add_argument("--onednn", required=True, help="the program lazuli_onednn_graphs, for the peer onednn")
    parser.add_argument("--peers", type=parse_peers, default=list(PEERS), help="some of " + ",".join(PEERS))
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
        reports.append(compare(arguments, threads, with_errors))
        print_table(reports[-1])
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump({"cpu": cpu_name(), "load_of_others": load_of_others, "reports": reports}, file, indent=1)


if __name__ == "__main__":
    main()
