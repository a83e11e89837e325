#!/usr/bin/env bash
# Draws the README's pictures, docs/images/mlp-before.svg and mlp-after.svg, with the example hello.
#   scripts/render-readme-images.sh [PROGRAM]      PROGRAM: a built example_hello; otherwise it is built here
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-build/release/bin/example_hello}
if [ $# -eq 0 ]; then
  cmake --preset release >&2
  cmake --build --preset release --target example_hello >&2
fi
mkdir -p docs/images
"$program" docs/images >/dev/null
