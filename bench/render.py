#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes measured figures into the README, each part between <!-- bench:PART --> and <!-- bench:end -->.

    bench/render.py [--kernels FILE] [--model FILE] [--peers FILE] [--mlx FILE] [--mlx-model FILE] [--plain FILE]
                    [README.md]

--kernels is google-benchmark's JSON of lazuli_bench, --model that of `lazuli bench --json --compare fused,unfused`,
--peers that of bench/peers/run.sh, --mlx and --mlx-model those of bench/peers/run_mlx.sh fusions and model, --plain that of
bench/peers/run_plain_graphs.sh. A part that is not given stays as it is. bench/run.sh makes them all.
"""

import argparse
import json
import pathlib
import statistics
import sys

END = "<!-- bench:end -->"
LEVELS = ("fused", "unfused")
LOOP_ROWS = (1, 512)
PRIMITIVE = "primitive"
MATMUL_ROWS = (1, 128, 512, 2048)
ONEDNN = "onednn_"
MATMULS = ("linear_", ONEDNN)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(run):
    return f"{number(run['median'])} ({number(run['min'])} to {number(run['max'])})"


def host(cpu, isa, threads):
    return f"{cpu}, {threads} threads, instruction set {isa}"


def turns_table(report, ratio_title):
    """Programs side by side, of a comparison by turns."""
    by_key = {(run["program"], run["name"]): run for run in report["runs"]}
    programs = list(dict.fromkeys(run["program"] for run in report["runs"]))
    rows = []
    for ratio in report["ratios"]:
        cells = [spread(by_key[program, ratio["name"]]) for program in programs]
        rows.append([ratio["name"], *cells, f"{ratio['median']:.2f}"])
    return table(["", *programs, ratio_title], rows)


def turns_note(report):
    return (
        f"tokens/s, median (min to max) of {len(report['runs'][0]['samples'])} by turns; "
        f"{host(report['cpu'], report['isa'], report['threads'])}"
    )


def peers_part(report):
    attention = "on" if report["flash_attention"] else "off"
    note = (
        f"{report['model']}, {turns_note(report)}; llama.cpp of llama-cpp-python {report['llama_cpp_python']}, built "
        f"by clang 19 for this CPU, flash attention {attention}:"
    )
    return note + "\n\n" + turns_table(report, "lazuli / llama.cpp")


def mlx_part(report):
    medians = {}
    for run in report["runs"]:
        medians[(run["fusion"], run["rows"], run["program"])] = statistics.median(run["microseconds"])
    rows = []
    for fusion, count in dict.fromkeys((run["fusion"], run["rows"]) for run in report["runs"]):
        ours, plain, compiled = (medians[(fusion, count, program)] for program in ("lazuli", "mlx", "mlx compiled"))
        name = f"{fusion}, {count} row{'s' if count > 1 else ''}"
        rows.append([name, number(ours), number(plain), number(compiled), f"{min(plain, compiled) / ours:.0f}"])
    note = (
        f"Single fusions in f32 beside MLX {report['mlx']} on the CPU of the same host, medians by turns; "
        "8,192 columns, softcap 32,768:"
    )
    return note + "\n\n" + table(["µs", "lazuli", "MLX", "MLX compiled", "best MLX / lazuli"], rows)


def mlx_model_part(report):
    note = (
        f"A whole model, {report['model']} with random weights, beside mlx-lm {report['mlx_lm']} on MLX "
        f"{report['mlx']} on the CPU, {turns_note(report)}; MLX computes from the weights as they are stored, and from "
        "weights unpacked to f32 before, with OpenBLAS in place of its wheel's reference BLAS:"
    )
    return note + "\n\n" + turns_table(report, "lazuli / best MLX")


PLAIN_PEERS = {"onnxruntime": "ONNX Runtime", "mlx": "MLX", "onednn": "oneDNN"}


def plain_table(report):
    """Microseconds of each graph: lazuli fused, without fusion and spelled out, and the peers that ran."""
    peers = [peer for peer in PLAIN_PEERS if peer in report["versions"]]
    programs = ["lazuli", "none", "primitive", *peers]
    errors = ["lazuli", *peers] if "errors" in report["graphs"][0] else []
    header = [f"µs, {threads_title(report['threads'])}", "fused", "none", "primitive"]
    header += [PLAIN_PEERS[peer] for peer in peers] + [f"{PLAIN_PEERS[peer]} / fused" for peer in peers]
    header += [f"error of {PLAIN_PEERS.get(program, program)}" for program in errors]
    rows = []
    for graph in report["graphs"]:
        samples, ratios = graph["samples"], graph["ratios"]
        cells = [number(statistics.median(samples[p])) if p in samples else "" for p in programs]
        cells += [f"{ratios[peer]:.2f}" if peer in ratios else "" for peer in peers]
        cells += [f"{graph['errors'][p]:.0e}" if p in graph["errors"] else "" for p in errors]
        rows.append([graph["name"], *cells])
    means = ", ".join(f"{PLAIN_PEERS[peer]} {report['mean_ratios'][peer]:.2f}" for peer in peers)
    return table(header, rows) + f"\n\nGeometric mean of the ratios, over the graphs a peer has: {means}."


def plain_part(comparison):
    first = comparison["reports"][0]
    titles = {"onnxruntime": "ONNX Runtime {} with all its optimisations", "mlx": "MLX {} on the CPU, compiled",
              "onednn": "oneDNN {}, which has some of them"}
    beside = [title.format(first["versions"][peer]) for peer, title in titles.items() if peer in first["versions"]]
    left_out = [f"; without {PLAIN_PEERS[peer]}, which did not run" for peer in first["missing"]]
    errors = "; errors are the largest from a reference in f64, of the largest value"
    note = (
        f"Plain graphs in f32 (`bench/plain_graphs`) beside {', '.join(beside)}{''.join(left_out)}; medians by turns; "
        f"{comparison['cpu']}; rows of bf16 have weights of bf16, and in MLX and oneDNN operands of bf16 as well"
        f"{errors if 'errors' in first['graphs'][0] else ''}:"
    )
    return "\n\n".join([note, *map(plain_table, comparison["reports"])])


def threads_title(count):
    return f"{count} thread{'s' if count > 1 else ''}"


def run_title(report, name):
    if name == "prompt":
        return f"prompt {report['prompt_tokens']}"
    return f"decode {report['decode_tokens']} at {report['depth']}"


def model_part(report):
    by_key = {(run["name"], run["variant"]): run for run in report["runs"]}
    rows = []
    for ratio in report["ratios"]:
        first, second = (by_key[ratio["name"], ratio[key]] for key in ("first", "second"))
        bounds = f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        rows.append([run_title(report, ratio["name"]), spread(first), spread(second), bounds])
    shares = []
    if report["prompt_peak_share"] is not None:
        shares.append(f"prompt at {100 * report['prompt_peak_share']:.0f} % of the arithmetic's peak")
    if report["decode_floor_share"] is not None:
        shares.append(f"decode at {100 * report['decode_floor_share']:.0f} % of the memory's read rate")
    note = (
        f"{report['model']}, tokens/s, `--fusion all` against `--fusion none`, median (min to max) of "
        f"{report['repetitions']}; {host(report['cpu'], report['isa'], report['threads'])}"
    )
    note += "; " + ", ".join(shares) if shares else ""
    return note + ":\n\n" + table(["", "fused", "unfused", "ratio (95 %)"], rows)


class Kernels:
    """Medians over the repetitions of every benchmark, by name: "gelu_mul/rows:1/fused"."""

    def __init__(self, report):
        self.context = report["context"]
        samples = {}
        # Random interleaving shuffles the runs of a report; families are numbered as they were registered.
        for run in sorted(report["benchmarks"], key=lambda run: run["family_index"]):
            if run.get("run_type") == "iteration" and not run.get("error_occurred"):
                name = run["run_name"].removesuffix("/real_time")
                samples.setdefault(name, []).append(run)
        self.samples = samples
        self.limits = [name.removeprefix("limits/") for name in samples if name.startswith("limits/")]

    def median(self, name, field):
        values = [run[field] for run in self.samples.get(name, []) if field in run]
        return statistics.median(values) if values else None

    def cases(self):
        names = (name.split("/")[0] for name in self.samples)
        return [name for name in dict.fromkeys(names) if name != "limits"]


def giga(value):
    return "-" if value is None else number(value * 1e-9)


def peak(kernels, arithmetic):
    """Operations a second of the highest level that was measured; levels are in ascending order in the report."""
    names = [name for name in kernels.limits if name.startswith(arithmetic + "_")]
    return kernels.median("limits/" + names[-1], "OP/s") if names else None


def limits_note(kernels):
    memory = [f"{name} {giga(kernels.median('limits/' + name, 'bytes_per_second'))} GB/s" for name in ("read", "triad")]
    peaks = [
        f"{name.replace('_', ' ')} {giga(kernels.median('limits/' + name, 'OP/s'))}"
        for name in kernels.limits
        if name not in ("read", "triad")
    ]
    context = kernels.context
    return (
        f"{host(context['cpu'], context['isa'], context['threads'])}; limits of this host: {', '.join(memory)}; "
        f"multiplications and additions in registers, GOP/s: {', '.join(peaks)}."
    )


def row_text(rows):
    return "1 row" if rows == 1 else f"{rows} rows"


def large_rows(kernels, case):
    """The row count whose operands no cache holds."""
    counts = (int(name.split("rows:")[1].split("/")[0]) for name in kernels.samples if name.startswith(case + "/"))
    return max(counts, default=0)


def loop_rows(kernels, triad):
    for case in kernels.cases():
        if case.startswith(MATMULS):
            continue
        for rows in dict.fromkeys((*LOOP_ROWS, large_rows(kernels, case))):
            run = f"{case}/rows:{rows}"
            times = {level: kernels.median(f"{run}/{level}", "real_time") for level in (*LEVELS, PRIMITIVE)}
            if None in times.values():
                continue
            rate = kernels.median(f"{run}/fused", "bytes_per_second")
            gains = [f"{times[level] / times['fused']:.2f}" for level in ("unfused", PRIMITIVE)]
            cells = [*(number(time) for time in times.values()), *gains, giga(rate), percent(rate, triad)]
            yield [f"{case}, {row_text(rows)}", *cells]


def percent(part, whole):
    return "-" if part is None or not whole else f"{100 * part / whole:.0f} %"


def matmul_title(case):
    prefix = next(prefix for prefix in MATMULS if case.startswith(prefix))
    dtype, sizes = case.removeprefix(prefix).rsplit("_", 1)
    return ("oneDNN, " if prefix == ONEDNN else "") + f"{dtype} weight [{sizes.replace('x', ', ')}]"


def matmul_rows(kernels):
    """GFLOP/s and the share of oneDNN's bf16 matmul of the same sizes; last, the share of the peak."""
    peaks = {"f32": peak(kernels, "f32")}
    prompts = peak(kernels, "bf16") or peak(kernels, "int8")
    for case in (name for name in kernels.cases() if name.startswith(MATMULS)):
        dtype, sizes = case.split("_", 1)[1].rsplit("_", 1)
        level = "" if case.startswith(ONEDNN) else "/fused"
        rates = {rows: kernels.median(f"{case}/rows:{rows}{level}", "FLOP/s") for rows in MATMUL_ROWS}
        cells = []
        for rows, rate in rates.items():
            theirs = kernels.median(f"{ONEDNN}bf16_{sizes}/rows:{rows}", "FLOP/s")
            share = f" ({percent(rate, theirs)})" if theirs and level and dtype != "f32" else ""
            cells.append(giga(rate) + share)
        yield [matmul_title(case), *cells, percent(rates[MATMUL_ROWS[-1]], peaks.get(dtype, prompts))]


def kernels_part(report):
    kernels = Kernels(report)
    ratios = ["unfused / fused", "primitive / fused"]
    triad = kernels.median("limits/triad", "bytes_per_second")
    loops = table(["µs", *LEVELS, PRIMITIVE, *ratios, "fused, GB/s", "of the triad"], list(loop_rows(kernels, triad)))
    header = ["matmul, GFLOP/s (of oneDNN)", *(row_text(rows) for rows in MATMUL_ROWS), "of the peak"]
    note = (
        f"Kernels by themselves, {limits_note(kernels)} rms_norm and softmax are one kernel, fused or not. "
        f"oneDNN {kernels.context['onednn']}: its bf16 matmul, weights in the layout it chooses."
    )
    return f"{note}\n\n{loops}\n\n{table(header, list(matmul_rows(kernels)))}"


PARTS = {
    "peers": peers_part,
    "mlx": mlx_part,
    "mlx-model": mlx_model_part,
    "plain": plain_part,
    "model": model_part,
    "kernels": kernels_part,
}


def replace_part(text, part, block):
    begin = f"<!-- bench:{part} -->"
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        sys.exit(f"render: the file has no {begin} ... {END}")
    return f"{before}{begin}\n{block}\n{END}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for part in PARTS:
        parser.add_argument(f"--{part}", dest=part, type=pathlib.Path)
    readme = pathlib.Path(__file__).resolve().parent.parent / "README.md"
    parser.add_argument("readme", nargs="?", type=pathlib.Path, default=readme)
    arguments = parser.parse_args()

    given = {part: path for part in PARTS if (path := vars(arguments)[part])}
    if not given:
        parser.error("nothing to render: none of " + ", ".join(f"--{part}" for part in PARTS) + " is given")
    text = arguments.readme.read_text(encoding="utf-8")
    for part, path in given.items():
        text = replace_part(text, part, PARTS[part](json.loads(path.read_text(encoding="utf-8"))))
    arguments.readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
