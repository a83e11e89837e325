#!/usr/bin/env python3
"""Speed of lazuli and llama.cpp on one GGUF file, measured by turns in one run.

Prints a table of medians and writes all samples as JSON. llama.cpp is timed around llama_decode alone, by
llama-cpp-python: no sampling, logits of the last token only. lazuli's figures are those of `lazuli bench`, where a
generated token includes its argmax. run.sh installs what this needs.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

import llama_cpp

DECODE = 128
DEPTHS = (8, 512)


class LlamaCpp:
    name = "llama.cpp"

    def __init__(self, model, threads, flash_attention, prompts):
        self.prompts = prompts
        self.llama = llama_cpp.Llama(
            model_path=model,
            n_ctx=max(*prompts, max(DEPTHS) + DECODE) + 64,
            n_threads=threads,
            n_threads_batch=threads,
            logits_all=False,
            flash_attn=flash_attention,
            verbose=False,
        )
        random.seed(1)
        self.ids = [random.randrange(self.llama.n_vocab()) for _ in range(max(prompts) + DECODE)]

    def prompt(self, tokens):
        self.llama.reset()
        start = time.perf_counter()
        self.llama.eval(self.ids[:tokens])
        return tokens / (time.perf_counter() - start)

    def decode(self, depth):
        self.llama.reset()
        self.llama.eval(self.ids[:depth])
        start = time.perf_counter()
        for token in self.ids[depth : depth + DECODE]:
            self.llama.eval([token])
        return DECODE / (time.perf_counter() - start)

    def sample(self):
        self.prompt(self.prompts[0])  # warm: threads started, pages of the weights mapped
        samples = {f"prompt {tokens}": self.prompt(tokens) for tokens in self.prompts}
        samples.update({f"decode {DECODE} at {depth}": self.decode(depth) for depth in DEPTHS})
        return samples


class Lazuli:
    name = "lazuli"

    def __init__(self, program, model, threads, prompts):
        self.prompts = prompts
        self.command = [program, "bench", "-m", model, "--json", "--reps", "1", "--warmup", "1"]
        self.command += ["--threads", str(threads)]
        self.cpu = "unknown"
        self.isa = "unknown"

    def bench(self, *options):
        done = subprocess.run([*self.command, *options], stdout=subprocess.PIPE, check=True)
        report = json.loads(done.stdout)
        self.cpu, self.isa = report["cpu"], report.get("isa", "unknown")
        return {run["name"]: run["median"] for run in report["runs"]}

    def sample(self):
        samples = {f"prompt {tokens}": self.bench("-p", str(tokens), "-n", "0")["prompt"] for tokens in self.prompts}
        for depth in DEPTHS:
            decoded = self.bench("-p", "0", "-n", str(DECODE), "--depth", str(depth))
            samples[f"decode {DECODE} at {depth}"] = decoded["decode"]
        return samples


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "samples": values}


def measure(programs, repetitions):
    samples = {program.name: {} for program in programs}
    for repetition in range(repetitions):
        for program in programs:
            print(f"repetition {repetition + 1} of {repetitions}: {program.name}", file=sys.stderr)
            for name, value in program.sample().items():
                samples[program.name].setdefault(name, []).append(value)
    return samples


def load_of_others():
    """The load average before anything runs. Spinning threads suffer most when their cores are taken."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"compare: the load average is {load:.1f}; figures will be low and uneven", file=sys.stderr)
    return load


def report_of(lazuli, peer, samples, load, arguments):
    runs = [
        {"name": name, "program": program, "unit": "tokens/s", **summary(values)}
        for program, by_name in samples.items()
        for name, values in by_name.items()
    ]
    ratios = []
    for name, ours in samples[lazuli.name].items():
        # Neighbours in time share what the host does meanwhile.
        pairs = [a / b for a, b in zip(ours, samples[peer.name][name])]
        ratios.append({"name": name, "first": lazuli.name, "second": peer.name, **summary(pairs)})
    return {
        "cpu": lazuli.cpu,
        "isa": lazuli.isa,
        "threads": arguments.threads,
        "model": os.path.basename(arguments.model),
        "llama_cpp_python": llama_cpp.__version__,
        "flash_attention": arguments.flash_attention,
        "load_before": load,
        "runs": runs,
        "ratios": ratios,
    }


def table(report):
    by_key = {(run["program"], run["name"]): run for run in report["runs"]}
    lines = [f"{report['cpu']}, {report['threads']} threads, {report['model']}; tokens/s, median (min to max)", ""]
    lines.append(f"{'':<20}  {'lazuli':>28}  {'llama.cpp':>28}  {'ratio':>6}")
    for ratio in report["ratios"]:
        cells = []
        for program in (ratio["first"], ratio["second"]):
            run = by_key[program, ratio["name"]]
            cells.append(f"{run['median']:.1f} ({run['min']:.1f} to {run['max']:.1f})")
        lines.append(f"{ratio['name']:<20}  {cells[0]:>28}  {cells[1]:>28}  {ratio['median']:>6.2f}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lazuli", required=True, help="the lazuli program")
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--prompts", type=int, nargs="+", default=[512, 2048], help="lengths of prompts")
    parser.add_argument("--flash-attention", action="store_true", help="let llama.cpp use its fused attention")
    parser.add_argument("--out", help="file for the samples, as JSON")
    arguments = parser.parse_args()

    load = load_of_others()
    lazuli = Lazuli(arguments.lazuli, arguments.model, arguments.threads, arguments.prompts)
    peer = LlamaCpp(arguments.model, arguments.threads, arguments.flash_attention, arguments.prompts)
    report = report_of(lazuli, peer, measure([lazuli, peer], arguments.reps), load, arguments)
    print(table(report))
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
