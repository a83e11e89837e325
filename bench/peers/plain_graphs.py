# SPDX-License-Identifier: MIT
"""What the plain graphs of bench/plain_graphs are named and take, and how programs that run them are asked.

A program reads lines and answers each with one, as lazuli_plain_graphs does:
  list                 the names
  time NAME SECONDS    microseconds of a warm call, the median of as many as the seconds hold, at least three
  result NAME FILE     writes the result's f32 in lazuli's layout
"""

import pathlib
import statistics
import sys
import time

import numpy

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples"))
from formula_weights import formula_weights  # noqa: E402


def decoder_inputs(rows, past):
    return [(rows, 1024), (rows, 64), (rows, 64), (rows, past + rows)] + [(1, 16, past, 64)] * (8 if past else 0)


def attention_inputs(heads, rows, masked):
    return [(1, heads, rows, 64)] * 3 + ([(1, 1, rows, rows)] if masked else [])


SHAPES = {
    **{f"mlp/{rows}": [(rows, 1024)] for rows in (1, 16, 128, 512)},
    **{f"mlp_bf16/{rows}": [(rows, 1024)] for rows in (1, 16, 128, 512)},
    "attention/8x256x64": attention_inputs(8, 256, False),
    "attention/8x256x64/mask": attention_inputs(8, 256, True),
    "attention/12x512x64": attention_inputs(12, 512, False),
    "attention/12x512x64/mask": attention_inputs(12, 512, True),
    "encoder": [(128, 640)],
    "decoder/prompt": decoder_inputs(128, 0),
    "decoder/decode": decoder_inputs(1, 256),
    "resnet_block": [(1, 56, 56, 256)],
    "mobilenet_block": [(1, 56, 56, 32)],
    "norm_chain": [(512, 1024), (1024,)],
    "softmax_chain": [(512, 4096), (4096,)],
    "gelu_chain": [(512, 4096), (4096,)],
    "column_mean": [(4096, 512)],
    "long_chain": [(1024,)],
}


def family(name):
    """The function that builds the graph: "mlp" of "mlp/16"."""
    return name.split("/")[0]


def has_bf16_weights(name):
    return family(name).endswith("_bf16")


def inputs_of(name):
    return [formula_weights(shape, 1000 + i, 1) for i, shape in enumerate(SHAPES[name])]


def median_microseconds(run, seconds):
    samples, begin = [], time.perf_counter()
    while len(samples) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        samples.append(1e6 * (time.perf_counter() - start))
    return statistics.median(samples)


def serve(version, names, prepare, to_numpy):
    """Answers lines. prepare(name) gives what runs a graph, to_numpy(name, result) its values in lazuli's layout."""
    runs = {}
    for line in sys.stdin:
        command, *words = line.split()
        if command == "version":
            answer = version
        elif command == "list":
            answer = " ".join(names)
        else:
            name = words[0]
            if name not in runs:
                runs[name] = prepare(name)
                runs[name]()
            if command == "time":
                answer = median_microseconds(runs[name], float(words[1]))
            elif command == "result":
                answer = words[1]
                numpy.asarray(to_numpy(name, runs[name]()), numpy.float32).tofile(answer)
            else:
                sys.exit(f"plain_graphs: unknown line: {line}")
        print(answer, flush=True)
