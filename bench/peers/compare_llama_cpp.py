#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed of lazuli and llama.cpp on one GGUF file, measured by turns in one run.

Prints a table of medians and writes all samples as JSON. llama.cpp is timed around llama_decode alone, by
llama-cpp-python: no sampling, logits of the last token only. lazuli's figures are those of `lazuli bench`, where a
generated token includes its argmax. run.sh installs what this needs.
"""

import argparse
import os
import random
import time

import llama_cpp

import turns

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
        self.ids = [random.randrange(self.llama.n_vocab()) for _ in range(max(*prompts, max(DEPTHS) + DECODE))]

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


class Lazuli(turns.Lazuli):
    def __init__(self, program, model, threads, prompts):
        super().__init__(program, threads)
        self.model = model
        self.prompts = prompts

    def sample(self):
        samples = {}
        for tokens in self.prompts:
            samples[f"prompt {tokens}"] = self.bench(self.model, "-p", str(tokens), "-n", "0")["prompt"]
        for depth in DEPTHS:
            decoded = self.bench(self.model, "-p", "0", "-n", str(DECODE), "--depth", str(depth))
            samples[f"decode {DECODE} at {depth}"] = decoded["decode"]
        return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lazuli", required=True, help="the lazuli program")
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--threads", type=int, default=turns.usable_cores())
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--prompts", type=int, nargs="+", default=[512, 2048], help="lengths of prompts")
    parser.add_argument("--flash-attention", action="store_true", help="let llama.cpp use its fused attention")
    parser.add_argument("--out", help="file for the samples, as JSON")
    arguments = parser.parse_args()

    facts = {
        "threads": arguments.threads,
        "model": os.path.basename(arguments.model),
        "llama_cpp_python": llama_cpp.__version__,
        "flash_attention": arguments.flash_attention,
        "load_before": turns.load_of_others(),
    }
    lazuli = Lazuli(arguments.lazuli, arguments.model, arguments.threads, arguments.prompts)
    peer = LlamaCpp(arguments.model, arguments.threads, arguments.flash_attention, arguments.prompts)
    samples = turns.measure([lazuli, peer], arguments.reps)
    turns.publish(turns.report_of(lazuli, samples, facts), arguments.out)


if __name__ == "__main__":
    main()
