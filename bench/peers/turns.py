# SPDX-License-Identifier: MIT
"""What the comparisons share: the turns, and of whole models lazuli's side, the report and its table."""

import json
import os
import statistics
import subprocess
import sys


class Lazuli:
    name = "lazuli"

    def __init__(self, program, threads, repetitions=1):
        self.command = [program, "bench", "--json", "--reps", str(repetitions), "--warmup", "1", "--threads", str(threads)]
        self.cpu = "unknown"
        self.isa = "unknown"

    def bench(self, model, *options, figure="median"):
        """Tokens per second of warm runs: "prompt", "decode", or both."""
        done = subprocess.run([*self.command, "-m", model, *options], stdout=subprocess.PIPE, check=True)
        report = json.loads(done.stdout)
        self.cpu, self.isa = report["cpu"], report.get("isa", "unknown")
        return {run["name"]: run[figure] for run in report["runs"]}


def usable_cores():
    return len(os.sched_getaffinity(0))


def load_of_others():
    """The load average before anything runs. Spinning threads suffer most when their cores are taken."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"compare: the load average is {load:.1f}; figures will be low and uneven", file=sys.stderr)
    return load


def measure(programs, repetitions):
    """Lists of samples by program and by what is measured, as program.sample() names it.

    Every second repetition goes backwards: a host that slows down or speeds up meanwhile favours neither.
    """
    samples = {program.name: {} for program in programs}
    for repetition in range(repetitions):
        for program in programs if repetition % 2 == 0 else reversed(programs):
            print(f"repetition {repetition + 1} of {repetitions}: {program.name}", file=sys.stderr)
            for name, value in program.sample().items():
                samples[program.name].setdefault(name, []).append(value)
    return samples


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "samples": values}


def report_of(lazuli, samples, facts):
    """All samples, and the ratios of lazuli to the fastest of the other programs."""
    runs = [
        {"name": name, "program": program, "unit": "tokens/s", **summary(values)}
        for program, by_name in samples.items()
        for name, values in by_name.items()
    ]
    peers = [program for program in samples if program != lazuli.name]
    ratios = []
    for name, ours in samples[lazuli.name].items():
        fastest = max(peers, key=lambda peer: statistics.median(samples[peer][name]))
        # Neighbours in time share what the host does meanwhile.
        pairs = [a / b for a, b in zip(ours, samples[fastest][name])]
        ratios.append({"name": name, "first": lazuli.name, "second": fastest, **summary(pairs)})
    return {"cpu": lazuli.cpu, "isa": lazuli.isa, **facts, "runs": runs, "ratios": ratios}


def table(report):
    by_key = {(run["program"], run["name"]): run for run in report["runs"]}
    programs = list(dict.fromkeys(run["program"] for run in report["runs"]))
    lines = [f"{report['cpu']}, {report['threads']} threads, {report['model']}; tokens/s, median (min to max)", ""]
    lines.append(f"{'':<20}" + "".join(f"  {program:>28}" for program in programs) + f"  {'ratio':>6}")
    for ratio in report["ratios"]:
        line = f"{ratio['name']:<20}"
        for program in programs:
            run = by_key[program, ratio["name"]]
            cell = f"{number(run['median'])} ({number(run['min'])} to {number(run['max'])})"
            line += f"  {cell:>28}"
        lines.append(f"{line}  {ratio['median']:>6.2f}")
    return "\n".join(lines)


def number(value):
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def publish(report, path):
    """Prints the table, and writes the report as JSON where a path is given."""
    print(table(report))
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
