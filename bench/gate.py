#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the speed of two commits by turns, and fails where the second is slower beyond the noise.

    bench/gate.py BASE [HEAD] [--model GGUF] [--threads N] [--prompt N] [--tokens N] [--repetitions N] [--pairs N]
                  [--most N] [--out FILE]

Both are built in worktrees under build/gate, which are kept for the next time. The model is Gemma 3 270M's shape with
random weights unless one is given. A pair is a process of each, neighbours in time; their order alternates, A B B A. Of
each process the fastest of its warm runs counts: other work on the host only ever makes a run slower.

The rule, for prompt and for decode by itself: r is the median over the pairs of new time / old time, with the 95 %
interval of a bootstrap over the pairs.

    slower       the whole interval lies above 1.02
    not slower   the whole interval lies below 1.04
    undecided    neither

While neither is slower and one is undecided, the number of pairs doubles, up to --most. Exit status 0 where neither is slower, 1 where one
is, 3 where the noise leaves it open: a slowdown of 5 % is then not excluded either.
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

import turns  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "gate"
SLOWER = 1.02
NOT_SLOWER = 1.04
RESAMPLES = 4000


def run(*command, **options):
    """Of programs whose output is not data: it goes to standard error."""
    subprocess.run([str(part) for part in command], stdout=sys.stderr, check=True, **options)


def commit_of(name):
    command = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"gate: {name} is no commit of this repository")
    return done.stdout.strip()


def build(commit):
    """The command line of that commit, from a worktree of its own."""
    tree = FOLDER / commit[:12]
    if not (tree / ".git").exists():
        run("git", "-C", ROOT, "worktree", "prune")
        run("git", "-C", ROOT, "worktree", "add", "--force", "--detach", tree, commit)
    # Commits before 0.2.0 look for oneDNN in a way that fails where OpenCL's headers are missing.
    run("cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_DISABLE_FIND_PACKAGE_dnnl=ON", "-DLAZULI_BUILD_TESTS=OFF", "-DLAZULI_BUILD_BENCH=OFF",
        "-DLAZULI_BUILD_EXAMPLES=OFF", "-DLAZULI_INSTALL=OFF")
    run("cmake", "--build", tree / "build", "--target", "lazuli_tool")
    return tree / "build" / "bin" / "lazuli"


def make_model(program):
    model = FOLDER / "gemma3-270m-q4_0.gguf"
    if not model.exists():
        unfinished = model.with_suffix(".part.gguf")
        run(program, "synth", "--arch", "gemma3-270m", "--quant", "q4_0", "-o", unfinished)
        unfinished.rename(model)
    return model


class Side(turns.Lazuli):
    """One of the two commits."""

    def __init__(self, name, program, options):
        super().__init__(str(program), options.threads, options.repetitions)
        self.name = name
        self.options = options

    def sample(self):
        """Seconds a token, of a prompt and of generation behind it."""
        sizes = ["-p", str(self.options.prompt), "-n", str(self.options.tokens)]
        speeds = self.bench(str(self.options.model), *sizes, figure="max")
        return {name: 1 / speed for name, speed in speeds.items()}


def interval(ratios):
    """The median, and the bounds of its 95 % interval. The same ratios give the same bounds."""
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return statistics.median(ratios), medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def verdict(low, high):
    if low > SLOWER:
        return "slower"
    return "not slower" if high < NOT_SLOWER else "undecided"


def compare(samples, old, new):
    results = []
    for name, before in samples[old].items():
        ratios = [after / then for after, then in zip(samples[new][name], before)]
        median, low, high = interval(ratios)
        results.append({"name": name, "pairs": len(ratios), "ratio": median, "low": low, "high": high,
                        "verdict": verdict(low, high)})
    return results


def extend(samples, more):
    for program, by_name in more.items():
        for name, values in by_name.items():
            samples.setdefault(program, {}).setdefault(name, []).extend(values)


def line(result):
    return (f"{result['name']:<20} new time / old time {result['ratio']:.3f} "
            f"({result['low']:.3f} to {result['high']:.3f}) of {result['pairs']} pairs: {result['verdict']}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("head", nargs="?", default="HEAD", help="the commit that must not be slower (HEAD)")
    parser.add_argument("--model", help="a GGUF file")
    parser.add_argument("--threads", type=int, default=turns.usable_cores())
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt (512)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens generated (32)")
    parser.add_argument("--repetitions", type=int, default=7, help="warm runs of a process (7)")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of runs before the first look (10)")
    parser.add_argument("--most", type=int, default=80, help="pairs after which it ends (80)")
    parser.add_argument("--out", help="a file for all samples, as JSON")
    options = parser.parse_args()
    if not 4 <= options.pairs <= options.most:
        parser.error("expected 4 <= pairs <= most")
    return options


def main():
    options = parse()
    commits = {"old": commit_of(options.base), "new": commit_of(options.head)}
    programs = {name: build(commit) for name, commit in commits.items()}
    options.model = options.model or make_model(programs["old"])
    load = turns.load_of_others()
    sides = [Side(name, program, options) for name, program in programs.items()]

    samples = {}
    pairs = 0
    while True:
        step = max(pairs, options.pairs)
        step = min(step, options.most - pairs)
        extend(samples, turns.measure(sides, step))
        pairs += step
        results = compare(samples, "old", "new")
        verdicts = [result["verdict"] for result in results]
        if "slower" in verdicts or "undecided" not in verdicts or pairs >= options.most:
            break
        print(f"gate: undecided after {pairs} pairs", file=sys.stderr)

    print(f"{commits['old'][:12]} and {commits['new'][:12]}; {sides[0].cpu}, instruction set {sides[0].isa}, "
          f"{options.threads} threads, load before {load:.1f}; {pathlib.Path(options.model).name}")
    for result in results:
        print(line(result))
    if options.out:
        report = {"commits": commits, "cpu": sides[0].cpu, "isa": sides[0].isa, "threads": options.threads,
                  "load": load, "model": str(options.model), "results": results, "seconds_a_token": samples}
        pathlib.Path(options.out).write_text(json.dumps(report, indent=1), encoding="utf-8")
    if "slower" in verdicts:
        return 1
    return 3 if "undecided" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
