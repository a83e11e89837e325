#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh clone to text: installs what is missing, builds, fetches Gemma 3 270M, generates, compares fused with
# unfused speed, and leaves the decode graph before and after fusion as SVG in build/demo.
#   scripts/demo.sh [PROMPT]
set -euo pipefail
cd "$(dirname "$0")/.."
prompt=${1:-"Once upon a time, in a village by the sea,"}

scripts/install-dependencies.sh
cmake --preset release >&2
cmake --build --preset release --target lazuli_tool >&2
model=$(scripts/fetch-model.sh)
lazuli=build/release/bin/lazuli
mkdir -p build/demo

printf '\n%s' "$prompt"
"$lazuli" generate -m "$model" -p "$prompt" -n 64

printf '\nFused against unfused, tokens a second:\n'
"$lazuli" bench -m "$model" -p 512 -n 64 --reps 5 --warmup 1 --compare fused,unfused

for stage in built fused; do
  "$lazuli" graph -m "$model" --phase decode --stage "$stage" -o "build/demo/decode-$stage.svg"
done
