#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Draws the README's pictures into docs/images: mlp-before.svg and mlp-after.svg with the example hello, and
# gemma3-270m-decode.svg, a decode step of a model of that shape with random weights, with the command line.
#   scripts/render-readme-images.sh [FOLDER]      FOLDER has example_hello and lazuli, built; otherwise they are built here
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-build/release/bin}
if [ $# -eq 0 ]; then
  cmake --preset release >&2
  cmake --build --preset release --target example_hello lazuli_tool >&2
fi
mkdir -p docs/images
"$folder/example_hello" docs/images >/dev/null

scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
"$folder/lazuli" synth --arch gemma3-270m --quant q4_0 -o "$scratch/model.gguf" >&2
"$folder/lazuli" graph -m "$scratch/model.gguf" --phase decode --stage fused --collapse \
  -o docs/images/gemma3-270m-decode.svg >/dev/null
