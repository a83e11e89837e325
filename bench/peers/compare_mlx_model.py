#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed of lazuli and MLX on the CPU on one model folder, measured by turns in one run.

The folders are those of `lazuli synth`: a published shape with random weights, in each of the forms given. mlx-lm reads
them and is timed around its own generate_step: a prompt up to the token that it gives, then tokens behind it, each with
its log probabilities and argmax. lazuli's figures are those of `lazuli bench`, where a prompt ends with the logits of
its last row and a generated token includes its argmax.

MLX is measured twice: with the weights as they are stored, and unpacked to f32 before, which takes more memory but is
the fastest of its ways here. Its CPU backend runs on one thread and has no setting for it. Only products in f32 can
have more: the wheel's reference BLAS is replaced by OpenBLAS, with as many threads as lazuli has. Prints a table of
medians and writes all samples as JSON. run_mlx.sh installs what this needs.
"""

import argparse
import dataclasses
import pathlib
import subprocess
import sys
import time

import openblas  # before MLX

import mlx.core as mx

mx.set_default_device(mx.cpu)  # which the stream of mlx-lm takes over when it is imported

import mlx_lm  # noqa: E402
from mlx_lm.generate import generate_step, generation_stream  # noqa: E402
from mlx_lm.models.cache import make_prompt_cache  # noqa: E402
from mlx_lm.utils import dequantize_model, load_model  # noqa: E402

import turns  # noqa: E402


def make_folder(lazuli, architecture, quantisation, parent):
    """The folder of the model, made unless it is there."""
    folder = parent / f"{architecture}-{quantisation}"
    if not folder.exists():
        parent.mkdir(parents=True, exist_ok=True)
        command = [lazuli, "synth", "--arch", architecture, "--quant", quantisation, "-o", folder]
        subprocess.run(command, stdout=sys.stderr, check=True)
    return folder


def unpack(model):
    """Weights in f32, and with them all arithmetic. Scales come first, so that codes are unpacked in f32."""
    model.set_dtype(mx.float32)
    dequantize_model(model)
    mx.eval(model.parameters())


@dataclasses.dataclass(frozen=True)
class Work:
    """A prompt and the tokens generated behind it, for each of the folders, which are named by their forms."""

    folders: dict
    prompt: int
    tokens: int

    def sample(self, rates):
        """Samples by name; rates(form) has the tokens per second of prompt and generation."""
        samples = {}
        for form in self.folders:
            prompt, decode = rates(form)
            samples[f"{form}, prompt {self.prompt}"] = prompt
            samples[f"{form}, decode {self.tokens} at {self.prompt}"] = decode
        return samples


class Lazuli(turns.Lazuli):
    def __init__(self, program, threads, work):
        super().__init__(program, threads)
        self.work = work

    def sample(self):
        return self.work.sample(self.rates)

    def rates(self, form):
        prompt, tokens = str(self.work.prompt), str(self.work.tokens)
        rates = self.bench(self.work.folders[form], "-p", prompt, "-n", tokens, "--depth", prompt)
        return rates["prompt"], rates["decode"]


def seconds_of(steps):
    start = time.perf_counter()
    for _ in steps:
        pass
    mx.synchronize(generation_stream)  # the last token is still under way
    return time.perf_counter() - start


class Mlx:
    def __init__(self, name, work, prepare=lambda model: None):
        self.name = name
        self.work = work
        self.models = {}
        for form, folder in work.folders.items():
            self.models[form], config = load_model(folder)
            prepare(self.models[form])
            self.vocabulary = config.get("vocab_size") or config["text_config"]["vocab_size"]
            self.generate(form, prompt=2, tokens=1)  # warm: kernels compiled, pages of the weights mapped

    def sample(self):
        return self.work.sample(self.rates)

    def rates(self, form):
        return self.generate(form, self.work.prompt, self.work.tokens)

    def generate(self, form, prompt, tokens):
        """Tokens per second of a prompt, up to the token that it gives, and of as many tokens behind it."""
        model = self.models[form]
        cache = make_prompt_cache(model)
        ids = mx.random.randint(0, self.vocabulary, (prompt + 1,))
        mx.eval(ids)
        # generate_step begins the next token before it hands one out, and computes one more than it is asked for. Two
        # calls keep that out of the prompt's time.
        prompt_seconds = seconds_of(generate_step(ids[:-1], model, max_tokens=0, prompt_cache=cache))
        decode_seconds = seconds_of(generate_step(ids[-1:], model, max_tokens=tokens - 1, prompt_cache=cache))
        return prompt / prompt_seconds, tokens / decode_seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lazuli", required=True, help="the lazuli program")
    parser.add_argument("--folders", required=True, type=pathlib.Path, help="where the models are, or are made")
    parser.add_argument("--arch", default="gemma3-270m", help="a shape of `lazuli synth`")
    parser.add_argument("--quant", nargs="+", default=["mlx4", "bf16"], help="forms of the weights: mlx4, mlx8, bf16")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=6, help="tokens generated behind it")
    parser.add_argument("--threads", type=int, default=turns.usable_cores())
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--out", help="file for the samples, as JSON")
    arguments = parser.parse_args()

    facts = {
        "threads": arguments.threads,
        "model": arguments.arch,
        "mlx": mx.__version__,
        "mlx_lm": mlx_lm.__version__,
        "load_before": turns.load_of_others(),
    }
    openblas.set_threads(arguments.threads)
    folders = {form: make_folder(arguments.lazuli, arguments.arch, form, arguments.folders) for form in arguments.quant}
    work = Work(folders, arguments.prompt, arguments.tokens)
    lazuli = Lazuli(arguments.lazuli, arguments.threads, work)
    samples = turns.measure([lazuli, Mlx("MLX", work), Mlx("MLX in f32", work, unpack)], arguments.reps)
    turns.publish(turns.report_of(lazuli, samples, facts), arguments.out)


if __name__ == "__main__":
    main()
